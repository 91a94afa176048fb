//! Compares the messages that are written by hand with the descriptors of `proto/`, as reflection serves them.

use std::collections::{BTreeMap, BTreeSet};

use barewire::services::health::messages as health;
use barewire::services::reflection::Reflection;
use barewire::services::reflection::messages as reflection;
use barewire::{Router, Status};
use prost::Message;
use prost::encoding::{WireType, decode_key, skip_field};
use prost_types::DescriptorProto;
use prost_types::field_descriptor_proto::Type;

use super::reflection::Questions;
use super::server::Running;

/// Returns the numbers and wire types of the fields of an encoded message.
fn fields_on_the_wire(messages: &[Vec<u8>]) -> BTreeMap<u32, WireType> {
    let mut fields = BTreeMap::new();
    for message in messages {
        let mut rest = &message[..];
        while !rest.is_empty() {
            let (number, wire_type) = decode_key(&mut rest).expect("a key");
            skip_field(wire_type, number, &mut rest, Default::default()).expect("a value");
            fields.insert(number, wire_type);
        }
    }
    fields
}

fn declared_fields(message: &DescriptorProto) -> BTreeMap<u32, WireType> {
    let wire_type = |kind| match kind {
        Type::String | Type::Bytes | Type::Message => WireType::LengthDelimited,
        Type::Int32 | Type::Enum => WireType::Varint,
        other => panic!("{other:?} is not expected here"),
    };
    let fields = message.field.iter();
    fields
        .map(|field| {
            let is_packed =
                field.r#type() == Type::Int32 && field.label() == prost_types::field_descriptor_proto::Label::Repeated;
            let wire_type = if is_packed { WireType::LengthDelimited } else { wire_type(field.r#type()) };
            (field.number() as u32, wire_type)
        })
        .collect()
}

fn bytes(messages: impl IntoIterator<Item = impl Message>) -> Vec<Vec<u8>> {
    messages.into_iter().map(|message| message.encode_to_vec()).collect()
}

fn text() -> String {
    "x".to_owned()
}

/// Every message with all its fields set, by name; a message with a oneof comes several times.
fn all(package: &str) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    use reflection::{MessageRequest as Question, MessageResponse as Answer};
    if package == "grpc.health.v1" {
        let response = health::HealthCheckResponse::from(health::ServingStatus::Serving);
        return vec![
            ("HealthCheckRequest", bytes([health::HealthCheckRequest { service: text() }])),
            ("HealthCheckResponse", bytes([response])),
            ("HealthListRequest", bytes([health::HealthListRequest {}])),
            ("HealthListResponse", bytes([health::HealthListResponse { statuses: [(text(), response)].into() }])),
        ];
    }
    let extension = reflection::ExtensionRequest { containing_type: text(), extension_number: 1 };
    let files = reflection::FileDescriptorResponse { file_descriptor_proto: vec!["x".into()] };
    let numbers = reflection::ExtensionNumberResponse { base_type_name: text(), extension_number: vec![1] };
    let service = reflection::ServiceResponse { name: text() };
    let services = reflection::ListServiceResponse { service: vec![service.clone()] };
    let error = reflection::ErrorResponse { error_code: 1, error_message: text() };
    let questions = [
        Question::FileByFilename(text()),
        Question::FileContainingSymbol(text()),
        Question::FileContainingExtension(extension.clone()),
        Question::AllExtensionNumbersOfType(text()),
        Question::ListServices(text()),
    ];
    let questions =
        questions.map(|question| reflection::ServerReflectionRequest { host: text(), message_request: Some(question) });
    let answers = [
        Answer::FileDescriptorResponse(files.clone()),
        Answer::AllExtensionNumbersResponse(numbers.clone()),
        Answer::ListServicesResponse(services.clone()),
        Answer::ErrorResponse(error.clone()),
    ];
    let answers = answers.map(|answer| reflection::ServerReflectionResponse {
        valid_host: text(),
        original_request: Some(questions[0].clone()),
        message_response: Some(answer),
    });
    vec![
        ("ServerReflectionRequest", bytes(questions)),
        ("ExtensionRequest", bytes([extension])),
        ("ServerReflectionResponse", bytes(answers)),
        ("FileDescriptorResponse", bytes([files])),
        ("ExtensionNumberResponse", bytes([numbers])),
        ("ListServiceResponse", bytes([services])),
        ("ServiceResponse", bytes([service])),
        ("ErrorResponse", bytes([error])),
    ]
}

#[tokio::test(start_paused = true)]
async fn handwritten_messages_have_the_fields_of_the_proto_files() -> Result<(), Status> {
    let server = Running::start(Reflection::new().attach(Router::new(())));
    let client = server.client().await;
    for (package, service) in [
        ("grpc.health.v1", "grpc.health.v1.Health"),
        ("grpc.reflection.v1", "grpc.reflection.v1.ServerReflection"),
        ("grpc.reflection.v1alpha", "grpc.reflection.v1alpha.ServerReflection"),
    ] {
        let file = Questions::begin(&client).await.declaring(service).await;
        assert_eq!(file.package(), package);
        let declared: BTreeSet<&str> = file.message_type.iter().map(DescriptorProto::name).collect();
        let written = all(package);
        assert_eq!(written.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), declared);
        for (name, messages) in written {
            let message = file.message_type.iter().find(|message| message.name() == name).expect("it is declared");
            assert_eq!(fields_on_the_wire(&messages), declared_fields(message), "{name}");
        }
        for declared in file.message_type.iter().flat_map(|message| &message.enum_type) {
            for value in &declared.value {
                let status = health::ServingStatus::try_from(value.number()).expect("a known status");
                let name = format!("{status:?}").to_uppercase();
                assert_eq!(name, value.name().replace('_', ""));
            }
        }
    }
    Ok(())
}
