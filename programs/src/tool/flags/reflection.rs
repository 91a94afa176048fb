//! Fetches names by server reflection: all services, the files that declare them, and the imports of those files.
//!
//! The server may be hostile. Its time, its bytes, and the number of services, files and entries are limited.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use prost::encoding::encode_varint;

use super::descriptors::outline;
use barewire::io::Connector;
use barewire::services::reflection::messages::{
    MessageRequest, MessageResponse, ServerReflectionRequest, ServerReflectionResponse,
};
use barewire::services::reflection::{SERVER_REFLECTION_INFO, SERVER_REFLECTION_INFO_V1ALPHA};
use barewire::{BidiStreaming, CallOptions, Client, Code, Inbound, Method, Outbound, Status};

/// Time limit for all requests together.
const PATIENCE: Duration = Duration::from_secs(10);

/// Maximum number of requests, and so of services and files.
const QUESTIONS: usize = 10_000;

/// Maximum size of all files, and maximum number of their messages, fields, values, methods and imports.
const LARGEST: usize = 32 << 20;
const ENTRIES: usize = 250_000;

type Request = ServerReflectionRequest;
type Response = ServerReflectionResponse;

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
    tokio::time::timeout(PATIENCE, asked).await.map_err(|_| late())?
}

/// Returns the files as the field `file` of a `google.protobuf.FileDescriptorSet`, without decoding them.
async fn files(client: &Client, method: Method<Request, Response, BidiStreaming>) -> Result<Vec<u8>, Status> {
    let over = |what: String| Status::new(Code::ResourceExhausted, format!("the server has {what}"));
    let (mut questions, mut answers) = client.bidi_streaming(method).await?;
    let listed = ask(&mut questions, &mut answers, MessageRequest::ListServices(String::new())).await?;
    let MessageResponse::ListServicesResponse(services) = listed else { return Err(other_answer()) };
    if services.service.len() > QUESTIONS {
        return Err(over(format!("more than {QUESTIONS} services")));
    }
    let names = services.service.into_iter().map(|service| MessageRequest::FileContainingSymbol(service.name));
    let mut due: VecDeque<MessageRequest> = names.collect();
    let (mut set, mut known, mut asked, mut left) = (Vec::new(), BTreeSet::new(), BTreeSet::new(), ENTRIES);
    for _ in 0..QUESTIONS {
        let Some(question) = due.pop_front() else { break };
        let answer = match ask(&mut questions, &mut answers, question).await {
            Ok(answer) => answer,
            // If the server does not know one service, it may still know the others.
            Err(status) if status.code() == Code::NotFound => continue,
            Err(status) => return Err(status),
        };
        let MessageResponse::FileDescriptorResponse(answer) = answer else { return Err(other_answer()) };
        if answer.file_descriptor_proto.len() > QUESTIONS {
            return Err(over(format!("more than {QUESTIONS} files")));
        }
        for file in answer.file_descriptor_proto {
            let mut rest = left;
            let outline =
                outline(&file, &mut rest).map_err(|why| over(format!("descriptors that are refused: {why}")))?;
            // A server may send an import again with every file that needs it.
            if !known.insert(outline.name.clone()) {
                continue;
            }
            left = rest;
            if set.len() + file.len() > LARGEST || known.len() > QUESTIONS {
                return Err(over(format!("more than {LARGEST} bytes of descriptors, or more than {QUESTIONS} files")));
            }
            set.push(FILE);
            encode_varint(file.len() as u64, &mut set);
            set.extend_from_slice(&file);
            asked.insert(outline.name);
            for import in outline.imports {
                if due.len() < QUESTIONS && asked.insert(import.clone()) {
                    due.push_back(MessageRequest::FileByFilename(import));
                }
            }
        }
    }
    // The outcome of the call does not matter once all files are known.
    let _: Result<(), Status> = questions.finish().await;
    Ok(set)
}

/// The tag of `file`: field 1, length-delimited.
const FILE: u8 = 1 << 3 | 2;

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
