//! Fetches names by server reflection: all services, the files that declare them, and the imports of those files.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

use crate::services::reflection::messages::ServerReflectionRequest;
use crate::services::reflection::messages::server_reflection_request::MessageRequest;
use crate::services::reflection::messages::server_reflection_response::MessageResponse;
use crate::services::reflection::{SERVER_REFLECTION_INFO, SERVER_REFLECTION_INFO_V1ALPHA};
use barewire::io::Connector;
use barewire::{BidiStreaming, CallOptions, Client, Code, Inbound, Method, Outbound, Status};

/// Time limit for all requests together.
const PATIENCE: Duration = Duration::from_secs(10);

/// Maximum number of requests.
const QUESTIONS: usize = 10_000;
const LARGEST: usize = 64 << 20;

type Request = ServerReflectionRequest;
type Response = crate::services::reflection::messages::ServerReflectionResponse;

/// Returns a serialized `google.protobuf.FileDescriptorSet` of all services of a server. Tries version 1 first, and v1alpha if
/// that is unimplemented.
pub(super) async fn descriptor_set(connector: impl Connector + 'static) -> Result<Vec<u8>, Status> {
    let asked = async {
        let client = Client::connect(connector).await?.with(CallOptions::new().timeout(PATIENCE));
        match files(&client, SERVER_REFLECTION_INFO).await {
            Err(status) if status.code() == Code::Unimplemented => files(&client, SERVER_REFLECTION_INFO_V1ALPHA).await,
            files => files,
        }
    };
    let late = || Status::new(Code::DeadlineExceeded, format!("no response within {PATIENCE:?}"));
    let file = tokio::time::timeout(PATIENCE, asked).await.map_err(|_| late())??;
    Ok(FileDescriptorSet { file }.encode_to_vec())
}

async fn files(
    client: &Client,
    method: Method<Request, Response, BidiStreaming>,
) -> Result<Vec<FileDescriptorProto>, Status> {
    let (mut questions, mut answers) = client.bidi_streaming(method).await?;
    let listed = ask(&mut questions, &mut answers, MessageRequest::ListServices(String::new())).await?;
    let MessageResponse::ListServicesResponse(services) = listed else { return Err(other_answer()) };
    let names = services.service.into_iter().map(|service| MessageRequest::FileContainingSymbol(service.name));
    let mut due: VecDeque<MessageRequest> = names.collect();
    let (mut files, mut asked, mut bytes) = (Vec::new(), BTreeSet::new(), 0);
    for _ in 0..QUESTIONS {
        let Some(question) = due.pop_front() else { break };
        let answer = match ask(&mut questions, &mut answers, question).await {
            Ok(answer) => answer,
            // If the server does not know one service, it may still know the others.
            Err(status) if status.code() == Code::NotFound => continue,
            Err(status) => return Err(status),
        };
        let MessageResponse::FileDescriptorResponse(answer) = answer else { return Err(other_answer()) };
        for file in answer.file_descriptor_proto {
            bytes += file.len();
            if bytes > LARGEST {
                return Err(Status::new(Code::ResourceExhausted, format!("the descriptors exceed {LARGEST} bytes")));
            }
            let file = FileDescriptorProto::decode(&*file);
            let file = file.map_err(|error| Status::internal(format!("invalid file descriptor: {error}")))?;
            asked.insert(file.name().to_owned());
            if !files.iter().any(|known: &FileDescriptorProto| known.name == file.name) {
                files.push(file);
            }
        }
        let imports = files.iter().flat_map(|file| &file.dependency);
        let missing: Vec<String> = imports.filter(|import| !asked.contains(*import)).cloned().collect();
        for import in missing {
            if asked.insert(import.clone()) {
                due.push_back(MessageRequest::FileByFilename(import));
            }
        }
    }
    // The outcome of the call does not matter once all files are known.
    let _: Result<(), Status> = questions.finish().await;
    Ok(files)
}

async fn ask(
    questions: &mut Outbound<Request>,
    answers: &mut Inbound<Response>,
    question: MessageRequest,
) -> Result<MessageResponse, Status> {
    let sent = questions.send(Request { host: String::new(), message_request: Some(question) }).await;
    // If the call has failed, receiving returns the reason.
    let answer = answers.recv().await?;
    sent?;
    match answer.and_then(|answer| answer.message_response) {
        Some(MessageResponse::ErrorResponse(error)) => Err(Status::from_number(error.error_code, error.error_message)),
        Some(answer) => Ok(answer),
        None => Err(Status::new(Code::Unknown, "the server sent no response")),
    }
}

fn other_answer() -> Status {
    Status::internal("the server sent the wrong kind of response")
}
