//! Makes calls of all four kinds with generated clients, traits and constants.

use barewire::{
    BidiStreaming, Client, Inbound, Method, Outbound, Request, Response, Router, Server, Status, Unary, transport,
};
use barewire_build_generated::proto::words::{ECHO, JOIN, SHOUT, SPELL, Words, WordsClient, router};
use barewire_build_generated::proto::{DESCRIPTORS, Text};
use barewire_build_generated::protos::{other, tricky};
use prost::Message;

/// An implementation of the trait.
struct Speaker;

impl Words for Speaker {
    async fn shout(&self, request: Request<Text>) -> Result<Response<Text>, Status> {
        Ok(text(&request.text.to_uppercase()).into())
    }

    async fn spell(&self, request: Request<Text>, mut responses: Outbound<Text>) -> Result<(), Status> {
        for letter in request.text.chars() {
            responses.send(text(&letter.to_string())).await?;
        }
        Ok(())
    }

    async fn join(&self, mut requests: Inbound<Text>) -> Result<Response<Text>, Status> {
        let mut joined = String::new();
        while let Some(request) = requests.recv().await? {
            joined.push_str(&request.text);
        }
        Ok(text(&joined).into())
    }

    async fn echo(&self, mut requests: Inbound<Text>, mut responses: Outbound<Text>) -> Result<(), Status> {
        while let Some(request) = requests.recv().await? {
            responses.send(request).await?;
        }
        Ok(())
    }
}

fn text(text: &str) -> Text {
    Text { text: text.to_owned() }
}

/// Serves a router in memory and returns a client of it.
async fn client<S: Send + Sync + 'static>(router: Router<S>) -> Client {
    let (listener, connector) = transport::memory::pair();
    tokio::spawn(Server::new(router).serve(listener));
    Client::connect(connector).await.expect("the server accepts")
}

#[tokio::test]
async fn generated_client_calls_all_four_kinds_of_the_generated_trait() -> Result<(), Status> {
    let client = WordsClient::new(client(router(Speaker)).await);
    assert_eq!(client.shout(text("hello")).await?.text, "HELLO");

    let mut letters = client.spell(text("ab")).await?;
    assert_eq!(letters.recv().await?, Some(text("a")));
    assert_eq!(letters.recv().await?, Some(text("b")));
    assert_eq!(letters.recv().await?, None);

    let (mut texts, joined) = client.join().await?;
    texts.send(text("a")).await?;
    texts.send(text("b")).await?;
    texts.finish().await?;
    assert_eq!(joined.await?.text, "ab");

    let (mut texts, mut echoes) = client.echo().await?;
    texts.send(text("a")).await?;
    assert_eq!(echoes.recv().await?, Some(text("a")));
    texts.finish().await?;
    assert_eq!(echoes.recv().await?, None);
    Ok(())
}

#[tokio::test]
async fn constants_alone_make_a_server_and_calls() -> Result<(), Status> {
    let router = Router::new(Speaker)
        .unary(SHOUT, Speaker::shout)
        .server_streaming(SPELL, Speaker::spell)
        .client_streaming(JOIN, Speaker::join)
        .bidi_streaming(ECHO, Speaker::echo);
    assert_eq!(client(router).await.unary(SHOUT, text("hello")).await?.text, "HELLO");
    Ok(())
}

#[test]
fn constants_spell_the_paths_of_the_proto_files() {
    let paths = [SHOUT.path(), SPELL.path(), JOIN.path(), ECHO.path()];
    assert_eq!(
        paths,
        ["/words.v1.Words/Shout", "/words.v1.Words/Spell", "/words.v1.Words/Join", "/words.v1.Words/Echo"]
    );
    // Kinds and types are part of the constants: these lines compile only if they match.
    let _: Method<tricky::Outer, tricky::outer::Nested, Unary> = tricky::names::NEW;
    let _: Method<(), (), Unary> = tricky::well_known::VOID;
    let _: Method<String, Vec<u8>, Unary> = tricky::well_known::WRAPPED;
    let _: Method<bool, f64, BidiStreaming> = tricky::well_known::PRIMITIVE;
    let _: Method<tricky::inner::Outer, other::v1::Outer, Unary> = tricky::inner_service::GET;
    let _: Method<tricky::Type, tricky::Type, Unary> = tricky::type_service::TYPE;
    let unusual = [
        tricky::names::SELF_.path(),
        tricky::names::INTO_HTTP_RESPONSE2.path(),
        tricky::names::LOWER_SNAKE.path(),
        tricky::same_names::NEW.path(),
        other::v1::imported::GET.path(),
        barewire_build_generated::protos::no_package::GET.path(),
    ];
    let spelled = [
        "/tricky.Names/Self",
        "/tricky.Names/IntoHTTPResponse2",
        "/tricky.Names/lower_snake",
        "/tricky.SameNames/New",
        "/other.v1.Imported/Get",
        "/NoPackage/Get",
    ];
    assert_eq!(unusual, spelled);
}

#[tokio::test]
async fn methods_with_names_that_are_taken_are_called() -> Result<(), Status> {
    /// Returns each request, which is what all its methods can do.
    struct Same;
    impl tricky::same_names::SameNames for Same {
        async fn new_(&self, request: Request<tricky::Outer>) -> Result<Response<tricky::Outer>, Status> {
            Ok(request.into_message().into())
        }
        async fn r#match(&self, _request: Request<tricky::Outer>) -> Result<Response<tricky::Outer>, Status> {
            Err(Status::not_found("no match"))
        }
    }
    let client = tricky::same_names::SameNamesClient::new(client(tricky::same_names::router(Same)).await);
    let outer = tricky::Outer { maybe: Some(0), r#fn: Some(tricky::outer::Fn::Bytes(vec![1])), ..Default::default() };
    assert_eq!(*client.new_(outer.clone()).await?.message(), outer);
    assert_eq!(client.r#match(outer).await.expect_err("it refuses").message(), "no match");
    Ok(())
}

#[tokio::test]
async fn well_known_types_travel_as_the_types_of_rust() -> Result<(), Status> {
    let router = Router::new(())
        .unary(tricky::well_known::VOID, |_: &(), _: Request<()>| async { Ok::<_, Status>(()) })
        .unary(tricky::well_known::WRAPPED, |_: &(), request: Request<String>| async move {
            Ok::<_, Status>(request.into_message().into_bytes())
        });
    let client = tricky::well_known::WellKnownClient::new(client(router).await);
    client.void(()).await?;
    assert_eq!(client.wrapped("abc".to_owned()).await?.message(), b"abc");
    Ok(())
}

#[test]
fn descriptor_set_has_the_service_and_no_comments() {
    let set = prost_types::FileDescriptorSet::decode(DESCRIPTORS).expect("it is a descriptor set");
    let [file] = set.file.as_slice() else { panic!("one file: {set:?}") };
    assert_eq!((file.name(), file.package()), ("words.proto", "words.v1"));
    assert_eq!(
        file.service[0].method.iter().map(|method| method.name()).collect::<Vec<_>>(),
        ["Shout", "Spell", "Join", "Echo"]
    );
    assert_eq!(file.source_code_info, None);
}
