//! Compiles the code that `barewire-build` generates for the files in `proto/`.

/// The words of the README.
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/words.v1.rs"));

    /// The descriptors, for server reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/words.bin"));
}

/// Files that are hard to translate.
#[allow(missing_docs)]
pub mod protos {
    include!(concat!(env!("OUT_DIR"), "/protos.rs"));
}

/// The types of the package `elsewhere`, which are not generated.
pub mod elsewhere {
    /// A message.
    #[derive(Clone, PartialEq, ::prost::Message)]
    pub struct Thing {}

    /// The messages within [`Thing`].
    pub mod thing {
        /// A message.
        #[derive(Clone, PartialEq, ::prost::Message)]
        pub struct Part {}
    }
}
