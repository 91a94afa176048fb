//! Names asked of a server: all its services, the files that declare them, and the files that those import.

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

/// How long all questions together may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most questions that are asked, and the most bytes of files that are taken.
const QUESTIONS: usize = 10_000;
const LARGEST: usize = 64 << 20;

type Request = ServerReflectionRequest;
type Response = crate::services::reflection::messages::ServerReflectionResponse;

/// An encoded `google.protobuf.FileDescriptorSet` of all that a server serves. Version 1 is asked first, and v1alpha where it is
/// not implemented.
pub(super) async fn descriptor_set(connector: impl Connector + 'static) -> Result<Vec<u8>, Status> {
    let asked = async {
        let client = Client::connect(connector).await?.with(CallOptions::new().timeout(PATIENCE));
        match files(&client, SERVER_REFLECTION_INFO).await {
            Err(status) if status.code() == Code::Unimplemented => files(&client, SERVER_REFLECTION_INFO_V1ALPHA).await,
            files => files,
        }
    };
    let late = || Status::new(Code::DeadlineExceeded, format!("no answer within {PATIENCE:?}"));
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
            // What a server can't tell of one service it may be able to tell of another.
            Err(status) if status.code() == Code::NotFound => continue,
            Err(status) => return Err(status),
        };
        let MessageResponse::FileDescriptorResponse(answer) = answer else { return Err(other_answer()) };
        for file in answer.file_descriptor_proto {
            bytes += file.len();
            if bytes > LARGEST {
                return Err(Status::new(Code::ResourceExhausted, format!("its files are over {LARGEST} bytes")));
            }
            let file = FileDescriptorProto::decode(&*file);
            let file = file.map_err(|error| Status::internal(format!("a file is no descriptor: {error}")))?;
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
    // Its end is of no interest once all is known.
    let _: Result<(), Status> = questions.finish().await;
    Ok(files)
}

async fn ask(
    questions: &mut Outbound<Request>,
    answers: &mut Inbound<Response>,
    question: MessageRequest,
) -> Result<MessageResponse, Status> {
    let sent = questions.send(Request { host: String::new(), message_request: Some(question) }).await;
    // Why the call has ended is said by the answer that does not come.
    let answer = answers.recv().await?;
    sent?;
    match answer.and_then(|answer| answer.message_response) {
        Some(MessageResponse::ErrorResponse(error)) => Err(Status::from_number(error.error_code, error.error_message)),
        Some(answer) => Ok(answer),
        None => Err(Status::new(Code::Unknown, "it gives no answer")),
    }
}

fn other_answer() -> Status {
    Status::internal("it answers another question")
}
