//! [`Reflection`], which collects descriptors, and [`Answers`], which answers questions from them.

use std::collections::BTreeSet;
use std::future::{Future, pending, poll_fn};
use std::task::Poll;

use bytes::Bytes;

use super::error::DescriptorError;
use super::files::Files;
use super::messages::{
    ErrorResponse, ExtensionNumberResponse, ExtensionRequest, FileDescriptorResponse, ListServiceResponse,
    MessageRequest, MessageResponse, ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
};
use super::{SERVER_REFLECTION_INFO, SERVER_REFLECTION_INFO_V1ALPHA};
use crate::wire::error::excerpt;
use crate::{Inbound, Outbound, Router, Status, method};

/// The descriptors of this library's own services, and of the details of errors.
const OWN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/services.bin"));

/// Descriptors to serve. Every client that can make calls can read them.
///
/// The descriptors of the library's own services and of `google.rpc`'s details of errors are always among them, unless a set
/// declares the same names.
#[derive(Clone, Debug, Default)]
pub struct Reflection {
    files: Files,
}

impl Reflection {
    /// Creates a collection without other descriptors than the library's own.
    pub fn new() -> Reflection {
        Reflection::default()
    }

    /// Adds the files of a serialized `google.protobuf.FileDescriptorSet`. It must contain the files that they import,
    /// unless an earlier set did. A file whose name an earlier set had is skipped, so that sets may share imports.
    ///
    /// # Errors
    ///
    /// [`DescriptorError`] if the set does not decode, lacks an import or a type, or declares a name a second time.
    pub fn add_descriptor_set(mut self, set: &[u8]) -> Result<Reflection, DescriptorError> {
        self.files.add(Bytes::copy_from_slice(set))?;
        Ok(self)
    }

    /// Adds both versions of reflection to a router. Clients that list the services get those of this router, reflection
    /// included, and may ask for all descriptors.
    ///
    /// A service without a descriptor is listed too; questions about it get NOT_FOUND.
    ///
    /// # Panics
    ///
    /// If the router has reflection already.
    #[must_use]
    pub fn attach<S>(mut self, router: Router<S>) -> Router<S>
    where
        S: Send + Sync + 'static,
    {
        self.files.add_unknown(OWN).expect("the library's own descriptors are valid");
        let own = [SERVER_REFLECTION_INFO, SERVER_REFLECTION_INFO_V1ALPHA].map(|method| method.path());
        let own = own.iter().filter_map(|path| method::split(path)).map(|(service, _)| service);
        let services: BTreeSet<&str> = router.services().chain(own).collect();
        router.merge(
            Router::new(Answers { files: self.files, services: services.into_iter().map(str::to_owned).collect() })
                .bidi_streaming(SERVER_REFLECTION_INFO, Answers::info)
                .bidi_streaming(SERVER_REFLECTION_INFO_V1ALPHA, Answers::info),
        )
    }
}

/// The implementation of both versions.
struct Answers {
    files: Files,
    /// Full names, sorted.
    services: Vec<String>,
}

impl Answers {
    /// Answers each question in turn. A client may keep the stream open while it makes other calls, so the stream ends with
    /// UNAVAILABLE when the server shuts down.
    async fn info(
        &self,
        mut questions: Inbound<ServerReflectionRequest>,
        mut answers: Outbound<ServerReflectionResponse>,
    ) -> Result<(), Status> {
        let draining = questions.context().map(|context| context.connection().draining());
        let mut draining = std::pin::pin!(async {
            match draining {
                Some(draining) => draining.await,
                None => pending().await,
            }
        });
        let mut sent = BTreeSet::new();
        loop {
            let question = poll_fn(|cx| match questions.poll_recv(cx) {
                Poll::Pending => {
                    draining.as_mut().poll(cx).map(|()| Err(Status::unavailable("the server is shutting down")))
                }
                question => question,
            });
            let Some(question) = question.await? else { return Ok(()) };
            let answer = self.answer(question.message_request.as_ref(), &mut sent).unwrap_or_else(refusal);
            answers
                .send(ServerReflectionResponse {
                    valid_host: question.host.clone(),
                    original_request: Some(question),
                    message_response: Some(answer),
                })
                .await?;
        }
    }

    /// Answers a question. `sent` has the files that this stream's answers had so far.
    ///
    /// # Errors
    ///
    /// The reason why the question has no answer, which does not end the stream.
    fn answer(&self, question: Option<&MessageRequest>, sent: &mut BTreeSet<usize>) -> Result<MessageResponse, Status> {
        let unknown =
            |kind: &str, name: &str| Status::not_found(format!("unknown {kind} {}", excerpt(name.as_bytes())));
        let mut file = |index: usize| {
            let file_descriptor_proto = self.files.with_imports(index, sent);
            MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto })
        };
        match question {
            Some(MessageRequest::FileByFilename(name)) => {
                self.files.named(name).map(file).ok_or_else(|| unknown("file", name))
            }
            Some(MessageRequest::FileContainingSymbol(symbol)) => {
                self.files.declaring(symbol).map(file).ok_or_else(|| unknown("symbol", symbol))
            }
            Some(MessageRequest::FileContainingExtension(extension)) => {
                let ExtensionRequest { containing_type: message, extension_number: number } = extension;
                let found = self.files.extending(message, *number);
                found.map(&mut file).ok_or_else(|| unknown(&format!("extension {number} of"), message))
            }
            Some(MessageRequest::AllExtensionNumbersOfType(message)) => {
                let numbers = self.files.extension_numbers(message).ok_or_else(|| unknown("message", message))?;
                let base_type_name = message.clone();
                let answer = ExtensionNumberResponse { base_type_name, extension_number: numbers };
                Ok(MessageResponse::AllExtensionNumbersResponse(answer))
            }
            Some(MessageRequest::ListServices(_)) => {
                let service = self.services.iter().map(|name| ServiceResponse { name: name.clone() }).collect();
                Ok(MessageResponse::ListServicesResponse(ListServiceResponse { service }))
            }
            None => Err(Status::invalid_argument("the request has no question that this server knows")),
        }
    }
}

fn refusal(status: Status) -> MessageResponse {
    let error_message = status.message().to_owned();
    MessageResponse::ErrorResponse(ErrorResponse { error_code: status.number(), error_message })
}
