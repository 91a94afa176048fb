//! Returns freed memory to the system. After a burst, glibc's allocator keeps hundreds of MiB of free memory that lies between
//! pieces still in use. jemalloc, which the servers use as their allocator, returns memory that has been unused for a while.

/// Time for which jemalloc keeps freed memory, in milliseconds; its own default is ten seconds.
#[cfg(target_os = "linux")]
const DECAY: isize = 1000;

/// Makes jemalloc return freed memory within some seconds, even in an idle program. Must be called before the program starts
/// other threads. Does nothing on other systems than Linux, or with another allocator.
pub fn give_memory_back() {
    #[cfg(target_os = "linux")]
    {
        use tikv_jemalloc_ctl::{Access, AsName, background_thread, max_background_threads};
        // Settings for future arenas, and for arena 0, which exists already. A jemalloc without one of these names keeps its
        // default.
        for name in [
            "arenas.dirty_decay_ms\0",
            "arenas.muzzy_decay_ms\0",
            "arena.0.dirty_decay_ms\0",
            "arena.0.muzzy_decay_ms\0",
        ] {
            let _: tikv_jemalloc_ctl::Result<()> = name.name().write(DECAY);
        }
        // Without a background thread, jemalloc returns memory only when the program allocates or frees something.
        let _: tikv_jemalloc_ctl::Result<()> = max_background_threads::write(1);
        let _: tikv_jemalloc_ctl::Result<()> = background_thread::write(true);
    }
}
