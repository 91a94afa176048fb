//! Tests reflection: every question, the files of an answer, questions without an answer, and sets that are refused.

use barewire::services::health::Health;
use barewire::services::reflection::messages::{
    ErrorResponse, ExtensionRequest, MessageRequest, MessageResponse, ServerReflectionRequest, ServerReflectionResponse,
};
use barewire::services::reflection::{
    DescriptorError, Reflection, SERVER_REFLECTION_INFO, SERVER_REFLECTION_INFO_V1ALPHA,
};
use barewire::{BidiStreaming, Client, Code, Inbound, Method, Outbound, Request, Response, Router, Status, Unary};
use bytes::Bytes;
use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    MethodDescriptorProto, OneofDescriptorProto, ServiceDescriptorProto,
};

use super::server::Running;
use crate::common::soon;

const SHOUT: Method<(), (), Unary> = Method::new("/words.Words/Shout");
const UNDESCRIBED: Method<(), (), Unary> = Method::new("/secret.Secret/Keep");

/// A stream of questions.
pub struct Questions {
    out: Outbound<ServerReflectionRequest>,
    answers: Inbound<ServerReflectionResponse>,
}

impl Questions {
    pub async fn begin(client: &Client) -> Questions {
        Questions::of(client, SERVER_REFLECTION_INFO).await
    }

    async fn of(
        client: &Client,
        method: Method<ServerReflectionRequest, ServerReflectionResponse, BidiStreaming>,
    ) -> Questions {
        let (out, answers) = client.bidi_streaming(method).await.expect("it begins");
        Questions { out, answers }
    }

    /// Asks a question, and checks that the answer repeats it.
    async fn ask(&mut self, question: Option<MessageRequest>) -> MessageResponse {
        let request = ServerReflectionRequest { host: "localhost".to_owned(), message_request: question };
        self.out.send(&request).await.expect("it is sent");
        let answer = soon("an answer", self.answers.recv()).await.expect("it goes on").expect("an answer");
        assert_eq!((answer.valid_host, answer.original_request), ("localhost".to_owned(), Some(request)));
        answer.message_response.expect("an answer or an error")
    }

    /// Returns the files that answer a question.
    async fn files(&mut self, question: MessageRequest) -> Vec<Bytes> {
        match self.ask(Some(question)).await {
            MessageResponse::FileDescriptorResponse(files) => files.file_descriptor_proto,
            other => panic!("{other:?}"),
        }
    }

    /// Returns the names of the files that answer a question.
    async fn names(&mut self, question: MessageRequest) -> Vec<String> {
        let files = self.files(question).await.into_iter();
        files.map(|file| FileDescriptorProto::decode(file).expect("a file").name.expect("a name")).collect()
    }

    /// Returns the descriptor of the file that declares a symbol.
    pub async fn declaring(&mut self, symbol: &str) -> FileDescriptorProto {
        let files = self.files(MessageRequest::FileContainingSymbol(symbol.to_owned())).await;
        FileDescriptorProto::decode(files[0].clone()).expect("a file")
    }

    async fn refusal(&mut self, question: Option<MessageRequest>) -> (Code, String) {
        match self.ask(question).await {
            MessageResponse::ErrorResponse(ErrorResponse { error_code, error_message }) => {
                (Code::from_number(error_code), error_message)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn some(name: &str) -> Option<String> {
    Some(name.to_owned())
}

fn message(name: &str) -> DescriptorProto {
    DescriptorProto { name: some(name), ..DescriptorProto::default() }
}

fn field(name: &str, number: i32, type_name: Option<&str>) -> FieldDescriptorProto {
    let type_name = type_name.map(str::to_owned);
    FieldDescriptorProto { name: some(name), number: Some(number), type_name, ..FieldDescriptorProto::default() }
}

fn extension(name: &str, number: i32, extendee: &str) -> FieldDescriptorProto {
    FieldDescriptorProto { extendee: some(extendee), ..field(name, number, None) }
}

fn enumeration(name: &str, value: &str) -> EnumDescriptorProto {
    let value = vec![EnumValueDescriptorProto { name: some(value), ..EnumValueDescriptorProto::default() }];
    EnumDescriptorProto { name: some(name), value, ..EnumDescriptorProto::default() }
}

fn file(name: &str, package: &str, imports: &[&str]) -> FileDescriptorProto {
    FileDescriptorProto {
        name: some(name),
        package: some(package),
        dependency: imports.iter().map(|import| (*import).to_owned()).collect(),
        ..FileDescriptorProto::default()
    }
}

/// base.proto, which two files import, and words.proto, which imports these two and declares a name of every kind.
fn files() -> [FileDescriptorProto; 4] {
    let base = FileDescriptorProto { message_type: vec![message("Base")], ..file("base.proto", "words.base", &[]) };
    let left = file("left.proto", "", &["base.proto"]);
    let right = FileDescriptorProto {
        extension: vec![extension("colour", 1007, ".words.base.Base")],
        ..file("right.proto", "right", &["base.proto"])
    };
    let shout = MethodDescriptorProto {
        name: some("Shout"),
        input_type: some(".words.Word"),
        // Relative to the scope of the method.
        output_type: some("base.Base"),
        ..MethodDescriptorProto::default()
    };
    let word = DescriptorProto {
        field: vec![field("spelling", 1, None), field("base", 2, Some(".words.base.Base"))],
        oneof_decl: vec![OneofDescriptorProto { name: some("either"), ..OneofDescriptorProto::default() }],
        nested_type: vec![message("Letter")],
        enum_type: vec![enumeration("Case", "UPPER")],
        extension: vec![extension("in_word", 1003, ".words.base.Base")],
        ..message("Word")
    };
    let words = FileDescriptorProto {
        message_type: vec![word],
        enum_type: vec![enumeration("Language", "LATIN")],
        service: vec![ServiceDescriptorProto {
            name: some("Words"),
            method: vec![shout],
            ..ServiceDescriptorProto::default()
        }],
        ..file("words.proto", "words", &["left.proto", "right.proto"])
    };
    [base, left, right, words]
}

fn set(files: impl IntoIterator<Item = FileDescriptorProto>) -> Vec<u8> {
    prost_types::FileDescriptorSet { file: files.into_iter().collect() }.encode_to_vec()
}

fn router() -> Router<()> {
    let answer = |(): &(), _: Request<()>| async { Ok::<_, Status>(Response::new(())) };
    Router::new(()).unary(SHOUT, answer).unary(UNDESCRIBED, answer)
}

async fn start() -> (Running, Client) {
    let reflection = Reflection::new().add_descriptor_set(&set(files())).expect("it links");
    let server = Running::start(reflection.attach(router().merge(Health::new().router())));
    let client = server.client().await;
    (server, client)
}

#[tokio::test(start_paused = true)]
async fn list_has_all_services_of_the_router_in_both_versions() {
    let (_server, client) = start().await;
    for method in [SERVER_REFLECTION_INFO, SERVER_REFLECTION_INFO_V1ALPHA] {
        let mut questions = Questions::of(&client, method).await;
        let answer = questions.ask(Some(MessageRequest::ListServices("*".to_owned()))).await;
        let MessageResponse::ListServicesResponse(listed) = answer else { panic!("{answer:?}") };
        let names: Vec<&str> = listed.service.iter().map(|service| &*service.name).collect();
        let expected = [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "secret.Secret",
            "words.Words",
        ];
        assert_eq!(names, expected);
        for name in names {
            let question = Some(MessageRequest::FileContainingSymbol(name.to_owned()));
            let has_file = matches!(questions.ask(question).await, MessageResponse::FileDescriptorResponse(_));
            assert_eq!(has_file, name != "secret.Secret", "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn file_of_every_kind_of_symbol_is_found() {
    let (_server, client) = start().await;
    for (symbol, file) in [
        ("words.Words", "words.proto"),
        ("words.Words.Shout", "words.proto"),
        ("words.Word", "words.proto"),
        ("words.Word.spelling", "words.proto"),
        ("words.Word.either", "words.proto"),
        ("words.Word.Letter", "words.proto"),
        ("words.Word.Case", "words.proto"),
        ("words.Word.UPPER", "words.proto"),
        ("words.Word.in_word", "words.proto"),
        ("words.Language", "words.proto"),
        ("words.LATIN", "words.proto"),
        ("words.base.Base", "base.proto"),
        ("right.colour", "right.proto"),
        ("grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"),
        ("grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"),
        ("routeguide.RouteGuide.RouteChat", "routeguide/route_guide.proto"),
    ] {
        let mut questions = Questions::begin(&client).await;
        let names = questions.names(MessageRequest::FileContainingSymbol(symbol.to_owned())).await;
        assert_eq!(names[0], file, "{symbol}");
    }
}

#[tokio::test(start_paused = true)]
async fn imports_follow_their_file_once_on_a_stream() {
    let (_server, client) = start().await;
    let mut questions = Questions::begin(&client).await;
    let by_name = |name: &str| MessageRequest::FileByFilename(name.to_owned());
    assert_eq!(questions.names(by_name("right.proto")).await, ["right.proto", "base.proto"]);
    assert_eq!(questions.names(by_name("words.proto")).await, ["words.proto", "left.proto"]);
    // The file that was asked for always comes.
    assert_eq!(questions.names(by_name("base.proto")).await, ["base.proto"]);
    let mut questions = Questions::begin(&client).await;
    let all = ["words.proto", "left.proto", "right.proto", "base.proto"];
    assert_eq!(questions.names(by_name("words.proto")).await, all);
}

#[tokio::test(start_paused = true)]
async fn files_are_sent_as_they_were_added() {
    // An option that this library does not know.
    let mut encoded = file("odd.proto", "odd", &[]).encode_to_vec();
    encoded.extend([0x42, 0x04, 0x9a, 0xb5, 0x18, 0x00]);
    let set = [&[0x0a, encoded.len() as u8][..], &encoded].concat();
    let server = Running::start(Reflection::new().add_descriptor_set(&set).expect("it links").attach(router()));
    let mut questions = Questions::begin(&server.client().await).await;
    assert_eq!(questions.files(MessageRequest::FileByFilename("odd.proto".to_owned())).await, [encoded]);
}

#[tokio::test(start_paused = true)]
async fn extensions_are_found_by_message_and_number() {
    let (_server, client) = start().await;
    let mut questions = Questions::begin(&client).await;
    let extension = |message: &str, number| {
        let containing_type = message.to_owned();
        MessageRequest::FileContainingExtension(ExtensionRequest { containing_type, extension_number: number })
    };
    assert_eq!(questions.names(extension("words.base.Base", 1007)).await, ["right.proto", "base.proto"]);
    assert_eq!(questions.names(extension("words.base.Base", 1003)).await[0], "words.proto");
    let refusal = questions.refusal(Some(extension("words.base.Base", 9))).await;
    assert_eq!(refusal, (Code::NotFound, "unknown extension 9 of words.base.Base".to_owned()));
    for (message, expected) in [("words.base.Base", &[1003, 1007][..]), ("words.Word", &[])] {
        let answer = questions.ask(Some(MessageRequest::AllExtensionNumbersOfType(message.to_owned()))).await;
        let MessageResponse::AllExtensionNumbersResponse(numbers) = answer else { panic!("{answer:?}") };
        assert_eq!((&*numbers.base_type_name, &numbers.extension_number[..]), (message, expected));
    }
}

#[tokio::test(start_paused = true)]
async fn question_without_an_answer_gets_an_error_and_the_stream_goes_on() {
    let (_server, client) = start().await;
    let mut questions = Questions::begin(&client).await;
    let nothing = || "no.Such".to_owned();
    for (question, code, words) in [
        (Some(MessageRequest::FileByFilename(nothing())), Code::NotFound, "unknown file no.Such"),
        (Some(MessageRequest::FileContainingSymbol(nothing())), Code::NotFound, "unknown symbol no.Such"),
        (Some(MessageRequest::FileContainingSymbol("words".into())), Code::NotFound, "unknown symbol words"),
        (
            Some(MessageRequest::FileContainingSymbol(".words.Word".into())),
            Code::NotFound,
            "unknown symbol .words.Word",
        ),
        (Some(MessageRequest::AllExtensionNumbersOfType(nothing())), Code::NotFound, "unknown message no.Such"),
        (Some(MessageRequest::FileContainingSymbol("x".repeat(100_000))), Code::NotFound, "unknown symbol xxx"),
        (None, Code::InvalidArgument, "the request has no question that this server knows"),
    ] {
        let (refused, message) = questions.refusal(question).await;
        assert_eq!(refused, code);
        assert!(message.starts_with(words) && message.len() < 500, "{message}");
    }
    assert_eq!(questions.declaring("words.Words").await.name(), "words.proto");
    questions.out.finish().await.expect("it ends");
    assert_eq!(questions.answers.recv().await.expect("OK"), None);
}

#[tokio::test(start_paused = true)]
async fn idle_stream_does_not_delay_a_shutdown() {
    let (server, client) = start().await;
    let mut questions = Questions::begin(&client).await;
    questions.declaring("words.Words").await;
    let began = tokio::time::Instant::now();
    server.shut_down().await;
    assert!(began.elapsed().as_secs() < 1, "{:?}", began.elapsed());
    assert_eq!(questions.answers.recv().await.unwrap_err().code(), Code::Unavailable);
}

#[test]
fn set_that_does_not_decode_or_link_is_refused_with_the_reason() {
    let [base, left, right, words] = files();
    let refused = |set: &[u8]| Reflection::new().add_descriptor_set(set).expect_err("it is refused");
    let undecodable = refused(b"not one");
    assert!(matches!(undecodable, DescriptorError::Undecodable(_)), "{undecodable:?}");
    assert!(undecodable.to_string().starts_with("not a google.protobuf.FileDescriptorSet: "), "{undecodable}");
    // The set decodes, its file does not.
    assert!(matches!(refused(b"\x0a\x02\x0a\x7f"), DescriptorError::Undecodable(_)));
    let words_alone = refused(&set([words.clone(), base.clone(), left.clone()]));
    let text = "words.proto imports right.proto, which the descriptor set lacks: compile it with --include_imports";
    assert_eq!(words_alone.to_string(), text);
    let mut untyped = words.clone();
    untyped.message_type[0].field[1].type_name = some(".words.base.Bass");
    let untyped = refused(&set([base.clone(), left.clone(), right.clone(), untyped]));
    let text = "words.Word.base uses .words.base.Bass, which no file of the descriptor set declares";
    assert_eq!(untyped.to_string(), text);
    let twice = refused(&set([base.clone(), FileDescriptorProto { name: some("other.proto"), ..base.clone() }]));
    assert_eq!(twice.to_string(), "both base.proto and other.proto declare words.base.Base");
    // A set may build on an earlier one, and have its files.
    let reflection = Reflection::new().add_descriptor_set(&set([base.clone(), left, right])).expect("it links");
    reflection.add_descriptor_set(&set([base, words])).expect("it links");
}

#[test]
fn set_may_declare_the_own_services_again_under_another_name() {
    let mut health = file("elsewhere/health.proto", "grpc.health.v1", &[]);
    health.message_type = vec![message("HealthCheckRequest")];
    let reflection = Reflection::new().add_descriptor_set(&set([health])).expect("it links");
    assert_eq!(reflection.attach(Router::new(())).services().count(), 2);
}
