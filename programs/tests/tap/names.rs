//! All sources of names: `.proto` files, descriptor sets, and server reflection in either version.

use std::collections::BTreeMap;

use barewire::services::reflection::messages::{
    ErrorResponse, FileDescriptorResponse, ListServiceResponse, MessageRequest, MessageResponse,
    ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
};
use barewire::services::reflection::{SERVER_REFLECTION_INFO, SERVER_REFLECTION_INFO_V1ALPHA};
use barewire::transport::tcp;
use barewire::{Client, Inbound, Method, Outbound, Request, Response, Router, Server, Status, Unary};
use barewire_programs::services::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

use super::process::{Folder, Tap, soon};

/// A message whose names only come from the sources under test.
#[derive(Clone, PartialEq, Message)]
struct Word {
    #[prost(string, tag = "1")]
    spelling: String,
}

const SHOUT: Method<Word, Word, Unary> = Method::new("/dictionary.v7.Dictionary/Shout");

const PROTO: &str = "syntax = \"proto3\"; package dictionary.v7; import \"word.proto\";
service Dictionary { rpc Shout(Word) returns (Word); }";
const IMPORTED: &str = "syntax = \"proto3\"; package dictionary.v7; message Word { string spelling = 1; }";

/// Returns the descriptor set of the dictionary without its import, and that of the import, by file name.
fn files() -> BTreeMap<String, Vec<u8>> {
    let folder = Folder::new("names-files");
    std::fs::write(folder.file("dictionary.proto"), PROTO).unwrap();
    std::fs::write(folder.file("word.proto"), IMPORTED).unwrap();
    let set = protox::compile(["dictionary.proto"], [folder.file("")]).unwrap();
    set.file.into_iter().map(|file| (file.name().to_owned(), file.encode_to_vec())).collect()
}

struct Dictionary(BTreeMap<String, Vec<u8>>);

impl Dictionary {
    async fn shout(&self, request: Request<Word>) -> Result<Response<Word>, Status> {
        Ok(Response::new(Word { spelling: request.spelling.to_uppercase() }))
    }

    /// Returns one file at a time, so that imports have to be requested.
    async fn reflect(
        &self,
        mut questions: Inbound<ServerReflectionRequest>,
        mut answers: Outbound<ServerReflectionResponse>,
    ) -> Result<(), Status> {
        while let Some(question) = questions.recv().await? {
            let file = |name: &str| {
                let file_descriptor_proto = vec![self.0[name].clone().into()];
                MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto })
            };
            let answer = match question.message_request.expect("a question") {
                MessageRequest::ListServices(_) => {
                    let names = ["gone.Service", "dictionary.v7.Dictionary"].map(str::to_owned);
                    let service = names.map(|name| ServiceResponse { name }).to_vec();
                    MessageResponse::ListServicesResponse(ListServiceResponse { service })
                }
                MessageRequest::FileContainingSymbol(name) if name.starts_with("dictionary") => {
                    file("dictionary.proto")
                }
                MessageRequest::FileByFilename(name) => file(&name),
                _ => MessageResponse::ErrorResponse(ErrorResponse { error_code: 5, error_message: "not here".into() }),
            };
            answers.send(ServerReflectionResponse { message_response: Some(answer), ..Default::default() }).await?;
        }
        Ok(())
    }
}

async fn serve(router: impl FnOnce(Router<Dictionary>) -> Router<Dictionary>) -> String {
    let listener = tcp::listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let dictionary = Router::new(Dictionary(files())).unary(SHOUT, Dictionary::shout);
    tokio::spawn(Server::new(router(dictionary)).serve(listener));
    address
}

/// Returns what the tap prints of one call.
async fn shown(to: &str, flags: &[&str]) -> String {
    let tap = Tap::start(to, flags).await;
    let client = soon("a connection", Client::connect(tcp::connect(&*tap.address))).await.unwrap();
    soon("an answer", client.unary(SHOUT, Word { spelling: "hello".into() })).await.unwrap();
    drop(client);
    tap.end().await
}

const NAMED: &str = "dictionary.v7.Word, 7 bytes: spelling: \"HELLO\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_names_are_read_by_either_version_of_reflection() {
    let v1 = serve(|router| router.bidi_streaming(SERVER_REFLECTION_INFO, Dictionary::reflect)).await;
    let v1alpha = serve(|router| router.bidi_streaming(SERVER_REFLECTION_INFO_V1ALPHA, Dictionary::reflect)).await;
    let silent = serve(|router| router).await;
    for server in [&v1, &v1alpha] {
        let printed = shown(server, &["--reflection"]).await;
        assert!(printed.contains(NAMED), "{printed}");
    }
    let elsewhere = shown(&silent, &[&format!("--reflection={v1}")]).await;
    assert!(elsewhere.contains(NAMED), "{elsewhere}");
    // Without names, fields are shown by number.
    let printed = shown(&silent, &["--reflection"]).await;
    assert!(printed.contains("message, 7 bytes: 1: \"HELLO\""), "{printed}");
}

/// A server whose descriptors are few bytes and many messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_reflection_server_is_refused() {
    async fn hostile(
        mut questions: Inbound<ServerReflectionRequest>,
        mut answers: Outbound<ServerReflectionResponse>,
        services: usize,
    ) -> Result<(), Status> {
        let mut number = 0;
        while let Some(question) = questions.recv().await? {
            let answer = match question.message_request.expect("a question") {
                MessageRequest::ListServices(_) => {
                    let service = vec![ServiceResponse { name: "a.B".to_owned() }; services];
                    MessageResponse::ListServicesResponse(ListServiceResponse { service })
                }
                _ => {
                    // A name, and empty messages.
                    number += 1;
                    let name = format!("{number}.proto");
                    let file = [&[0x0a, name.len() as u8][..], name.as_bytes(), &[0x22, 0].repeat(100_000)].concat();
                    MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
                        file_descriptor_proto: vec![file.into()],
                    })
                }
            };
            answers.send(ServerReflectionResponse { message_response: Some(answer), ..Default::default() }).await?;
        }
        Ok(())
    }
    for (services, part) in [(100, "the descriptors have too many entries"), (10_001, "more than 10000 services")] {
        let listener = tcp::listen("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = Router::new(services)
            .bidi_streaming(SERVER_REFLECTION_INFO, async |services: &usize, questions, answers| {
                hostile(questions, answers, *services).await
            });
        tokio::spawn(Server::new(router).serve(listener));
        let output = tokio::process::Command::new(super::process::BAREWIRE)
            .args(["decode", "/dev/null", &format!("--reflection={address}")])
            .output();
        let said = String::from_utf8(soon("its end", output).await.unwrap().stderr).unwrap();
        assert!(said.contains("server reflection of") && said.contains(part), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_have_message_names() {
    let server = serve(|router| router).await;
    let folder = Folder::new("names");
    let (proto, word, set) = (folder.file("dictionary.proto"), folder.file("lib/word.proto"), folder.file("set.bin"));
    std::fs::create_dir_all(folder.file("lib")).unwrap();
    std::fs::write(&proto, PROTO).unwrap();
    std::fs::write(&word, IMPORTED).unwrap();
    let file = files().values().map(|file| FileDescriptorProto::decode(&file[..]).unwrap()).collect();
    std::fs::write(&set, FileDescriptorSet { file }.encode_to_vec()).unwrap();
    for flags in [&["--proto", &*proto, "--proto-path", &folder.file("lib")][..], &["--descriptor-set", &set]] {
        let printed = shown(&server, flags).await;
        assert!(printed.contains(NAMED), "{flags:?}: {printed}");
    }
    let known = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    assert!(known.file.iter().any(|file| file.package() == "routeguide"), "the route guide's are built in");
}
