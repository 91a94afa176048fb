//! Memory that is free goes back to the system. glibc's allocator keeps what lies between two pieces that are in use, hundreds of MiB
//! after a burst; jemalloc, the allocator of the programs that serve, gives back what nobody has used for a while.

/// How long jemalloc keeps what is free, in milliseconds; its own default is ten seconds.
#[cfg(target_os = "linux")]
const KEPT: isize = 1000;

/// Has a program whose allocator is jemalloc give memory back within some seconds of its being freed, even when it is idle. Must be
/// called before there are other threads. Elsewhere than on Linux, and with another allocator, nothing happens.
pub fn give_memory_back() {
    #[cfg(target_os = "linux")]
    {
        use tikv_jemalloc_ctl::{Access, AsName, background_thread, max_background_threads};
        // What will be arenas, and the one that there is. A jemalloc that does not know a name keeps its default.
        for name in [
            "arenas.dirty_decay_ms\0",
            "arenas.muzzy_decay_ms\0",
            "arena.0.dirty_decay_ms\0",
            "arena.0.muzzy_decay_ms\0",
        ] {
            let _: tikv_jemalloc_ctl::Result<()> = name.name().write(KEPT);
        }
        // Without a thread, memory goes back only when something else is allocated or freed.
        let _: tikv_jemalloc_ctl::Result<()> = max_background_threads::write(1);
        let _: tikv_jemalloc_ctl::Result<()> = background_thread::write(true);
    }
}
