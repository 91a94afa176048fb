//! The cases of the interop tests. Each makes calls to the test service and reports every difference from the expected results.
//!
//! | file | subject of its cases |
//! |---|---|
//! | `unary.rs`, `streaming.rs` | messages of every size, each kind of call |
//! | `ending.rs` | cancellation, deadlines, statuses, unimplemented methods |
//! | `compressed.rs` | compression per call and per message |
//! | `load.rs` | load reports |
//! | `soak.rs` | many calls, on one connection or on a connection each |
//! | `http2.rs` | servers that violate HTTP/2 on purpose, or do something rare |
//! | `further.rs` | cases that the descriptions leave out |
//!
//! Specified in interop-test-descriptions.md and negative-http2-interop-test-descriptions.md. The cases for Google's cloud and
//! for caching proxies (`compute_engine_creds`, `cacheable_unary` and so on) are left out.

mod compressed;
mod ending;
mod further;
mod http2;
mod load;
mod outcome;
mod settings;
mod soak;
mod streaming;
mod target;
mod unary;

pub use outcome::Failure;
pub use settings::{Settings, Soak};
pub use target::Target;

use barewire::io::Connector;

/// Defines each case once: its variant, its name on the command line, and its subject.
macro_rules! cases {
    ($($case:ident $name:literal $about:literal;)*) => {
        /// A test case, with the name that the descriptions and grpc-go's programs use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Case {
            $(#[doc = $about] $case,)*
        }

        impl Case {
            /// All cases.
            pub const ALL: &[Case] = &[$(Case::$case),*];

            /// Returns the name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Case::$case => $name,)* }
            }

            /// Returns a short description.
            pub fn about(self) -> &'static str {
                match self { $(Case::$case => $about,)* }
            }
        }
    };
}

cases! {
    EmptyUnary "empty_unary" "An empty message each way.";
    LargeUnary "large_unary" "A message larger than a frame each way.";
    ClientStreaming "client_streaming" "Four messages to the server, and one back.";
    ServerStreaming "server_streaming" "One message to the server, and four back.";
    PingPong "ping_pong" "Four messages, each answered before the next is sent.";
    EmptyStream "empty_stream" "A stream without messages either way.";
    TimeoutOnSleepingServer "timeout_on_sleeping_server" "A deadline that expires.";
    CancelAfterBegin "cancel_after_begin" "Cancellation before the first message.";
    CancelAfterFirstResponse "cancel_after_first_response" "Cancellation after the first answer.";
    StatusCodeAndMessage "status_code_and_message" "A status that the client asked for.";
    SpecialStatusMessage "special_status_message" "Whitespace and Unicode in a status message.";
    CustomMetadata "custom_metadata" "Text and binary metadata, both ways.";
    UnimplementedMethod "unimplemented_method" "A method that the service does not have.";
    UnimplementedService "unimplemented_service" "A service that the server does not have.";
    PickFirstUnary "pick_first_unary" "A hundred calls answered by one server.";
    RpcSoak "rpc_soak" "Large calls over one connection, as many as the flags say.";
    ChannelSoak "channel_soak" "Large calls over a connection each, as many as the flags say.";
    OrcaPerRpc "orca_per_rpc" "A load report in the trailers of a call.";
    OrcaOob "orca_oob" "Load reports on a stream of their own.";
    ClientCompressedUnary "client_compressed_unary" "A compressed request, and one that is not.";
    ServerCompressedUnary "server_compressed_unary" "A compressed answer, and one that is not.";
    ClientCompressedStreaming "client_compressed_streaming" "A stream of requests, compressed one by one.";
    ServerCompressedStreaming "server_compressed_streaming" "A stream of answers, compressed one by one.";
    GoAway "goaway" "A GOAWAY between two calls.";
    RstAfterHeader "rst_after_header" "A stream reset after its headers.";
    RstDuringData "rst_during_data" "A stream reset in the middle of a message.";
    RstAfterData "rst_after_data" "A stream reset after its message, before its trailers.";
    Ping "ping" "PINGs before and after every part of an answer.";
    MaxStreams "max_streams" "More concurrent calls than the server allows.";
    DataFramePadding "data_frame_padding" "An answer that is mostly padding.";
    MetadataRepeatedKeys "metadata_repeated_keys" "Several values of a key, in order.";
    MetadataEveryByte "metadata_every_byte" "Binary values with every byte and every padding.";
    MetadataEmptyValues "metadata_empty_values" "Empty values.";
    MetadataLarge "metadata_large" "More than 8 KiB of metadata.";
    StatusMessages "status_messages" "Every code, with messages in several scripts.";
    StatusDetails "status_details" "An error with a google.rpc.Status.";
    ErrorDetails "error_details" "An error with a detail of every published type.";
    DeadlineUnits "deadline_units" "A timeout of every unit.";
    CompressionBothWays "compression_both_ways" "Requests and answers compressed with -encoding.";
    MessageSizes "message_sizes" "Messages from 0 bytes to 64 MiB, as far as -max_message_size allows.";
    SizeOverLimit "size_over_limit" "An answer above the size limit.";
    ConcurrentCalls "concurrent_calls" "A thousand concurrent calls and a hundred streams.";
    CancelAtEachStage "cancel_at_each_stage" "Calls cancelled early and late, and the next call.";
}

impl Case {
    /// Returns the case with this name.
    pub fn from_name(name: &str) -> Option<Case> {
        Case::ALL.iter().copied().find(|case| case.name() == name)
    }

    /// Runs the case.
    ///
    /// # Errors
    ///
    /// [`Failure`] says what was expected, and what the server sent.
    pub async fn run<C: Connector + 'static>(self, target: &Target<C>, settings: &Settings) -> Result<(), Failure> {
        let service = target.service();
        match self {
            Case::EmptyUnary => unary::empty_unary(&service.await?).await,
            Case::LargeUnary | Case::Ping | Case::DataFramePadding => unary::large_unary(&service.await?).await,
            Case::ClientStreaming => streaming::client_streaming(&service.await?).await,
            Case::ServerStreaming => streaming::server_streaming(&service.await?).await,
            Case::PingPong => streaming::ping_pong(&service.await?).await,
            Case::EmptyStream => streaming::empty_stream(&service.await?).await,
            Case::TimeoutOnSleepingServer => ending::timeout_on_sleeping_server(&service.await?).await,
            Case::CancelAfterBegin => ending::cancel_after_begin(&service.await?).await,
            Case::CancelAfterFirstResponse => ending::cancel_after_first_response(&service.await?).await,
            Case::StatusCodeAndMessage => ending::status_code_and_message(&service.await?).await,
            Case::SpecialStatusMessage => ending::special_status_message(&service.await?).await,
            Case::CustomMetadata => streaming::custom_metadata(&service.await?).await,
            Case::UnimplementedMethod => ending::unimplemented_method(&service.await?).await,
            Case::UnimplementedService => ending::unimplemented_service(&service.await?).await,
            Case::PickFirstUnary => unary::pick_first_unary(&service.await?).await,
            Case::RpcSoak => soak::soak(target, Some(service.await?), settings).await,
            Case::ChannelSoak => soak::soak(target, None, settings).await,
            Case::OrcaPerRpc => load::orca_per_rpc(&service.await?).await,
            Case::OrcaOob => load::orca_oob(&service.await?).await,
            Case::ClientCompressedUnary => {
                compressed::client_compressed_unary(&service.await?, settings.encoding).await
            }
            Case::ServerCompressedUnary => compressed::server_compressed_unary(&service.await?).await,
            Case::ClientCompressedStreaming => {
                compressed::client_compressed_streaming(&service.await?, settings.encoding).await
            }
            Case::ServerCompressedStreaming => compressed::server_compressed_streaming(&service.await?).await,
            Case::GoAway => http2::goaway(target).await,
            Case::RstAfterHeader | Case::RstDuringData | Case::RstAfterData => http2::reset(&service.await?).await,
            Case::MaxStreams => http2::max_streams(&service.await?).await,
            Case::MetadataRepeatedKeys => further::metadata_repeated_keys(&service.await?).await,
            Case::MetadataEveryByte => further::metadata_every_byte(&service.await?).await,
            Case::MetadataEmptyValues => further::metadata_empty_values(&service.await?).await,
            Case::MetadataLarge => further::metadata_large(&service.await?).await,
            Case::StatusMessages => further::status_messages(&service.await?).await,
            Case::StatusDetails => further::status_details(&service.await?).await,
            Case::ErrorDetails => further::error_details(&service.await?).await,
            Case::DeadlineUnits => further::deadline_units(&service.await?).await,
            Case::CompressionBothWays => further::compression_both_ways(&service.await?, settings.encoding).await,
            Case::MessageSizes => further::message_sizes(&service.await?, target.limit()).await,
            Case::SizeOverLimit => further::size_over_limit(&service.await?, target.limit()).await,
            Case::ConcurrentCalls => further::concurrent_calls(&service.await?).await,
            Case::CancelAtEachStage => further::cancel_at_each_stage(&service.await?).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::interop::orca::{Load, OpenRca};
    use crate::interop::{TestServer, router};
    use barewire::{ClientOptions, Router, Server, transport};

    /// Runs every case that needs neither a misbehaving server nor compression. The paused clock advances whenever all tasks
    /// wait.
    #[tokio::test(start_paused = true)]
    async fn our_client_passes_all_cases_with_our_server() {
        let (listener, connector) = transport::memory::pair();
        let load = Load::default();
        let out_of_band = OpenRca::new(load.clone()).shortest_interval(Duration::from_secs(1));
        let service: Router<TestServer> = router(TestServer::new("the server", load)).merge(out_of_band.router());
        tokio::spawn(Server::new(service).serve(listener));
        let target = Target::new(connector, ClientOptions::default());
        let misbehaving = [Case::RstAfterHeader, Case::RstDuringData, Case::RstAfterData];
        for case in Case::ALL.iter().filter(|case| !misbehaving.contains(case) && !case.name().contains("compress")) {
            let outcome = case.run(&target, &Settings::default()).await;
            assert_eq!(outcome, Ok(()), "{}", case.name());
        }
    }

    #[test]
    fn case_names_are_found() {
        for case in Case::ALL {
            assert_eq!(Case::from_name(case.name()), Some(*case));
        }
        assert_eq!(Case::from_name("cacheable_unary"), None);
    }
}
