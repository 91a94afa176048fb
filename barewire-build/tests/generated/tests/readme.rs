//! Runs the code of the README's section "Your own .proto", and checks that the README shows this code.

use barewire::{Client, Inbound, Outbound, Request, Response, Server, Status, transport};
use barewire_build_generated::proto::Text;
use barewire_build_generated::proto::words::{Words, WordsClient, router};

struct Speaker;

impl Words for Speaker {
    async fn shout(&self, request: Request<Text>) -> Result<Response<Text>, Status> {
        Ok(Response::new(Text { text: request.text.to_uppercase() }))
    }

    async fn spell(&self, request: Request<Text>, mut responses: Outbound<Text>) -> Result<(), Status> {
        for letter in request.text.chars() {
            responses.send(Text { text: letter.into() }).await?;
        }
        Ok(())
    }

    async fn join(&self, _requests: Inbound<Text>) -> Result<Response<Text>, Status> {
        Err(Status::unimplemented("the README has two methods"))
    }

    async fn echo(&self, _requests: Inbound<Text>, _responses: Outbound<Text>) -> Result<(), Status> {
        Err(Status::unimplemented("the README has two methods"))
    }
}

#[tokio::test]
async fn code_of_the_readme_calls_a_server() -> Result<(), Box<dyn std::error::Error>> {
    let listener = transport::tcp::listen("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        Server::new(router(Speaker)).serve(listener).await?;
        Ok::<_, std::io::Error>(())
    });

    let client = WordsClient::new(Client::connect(transport::tcp::connect(&address)).await?);
    let loud = client.shout(Text { text: "hello".into() }).await?;
    assert_eq!(loud.text, "HELLO");
    let mut letters = client.spell(Text { text: "ab".into() }).await?;
    assert_eq!(letters.recv().await?.map(|letter| letter.text), Some("a".to_owned()));
    Ok(())
}

#[test]
fn readme_shows_code_that_is_compiled() {
    let readme = include_str!("../../../../README.md");
    let (_, section) = readme.split_once("## Your own .proto\n").expect("the README has the section");
    let (section, _) = section.split_once("\n## ").expect("another section follows");
    let compiled = [
        include_str!("../build.rs"),
        include_str!("../proto/words.proto"),
        include_str!("../src/lib.rs"),
        include_str!("readme.rs"),
    ];
    let blocks = section.split("```").skip(1).step_by(2);
    let blocks: Vec<&str> = blocks.filter(|block| block.starts_with("rust") || block.starts_with("proto")).collect();
    assert_eq!(blocks.len(), 3, "the file, the build.rs, the code");
    for line in blocks.iter().flat_map(|block| block.lines().skip(1)).map(str::trim) {
        // The README ends the build.rs where the test's goes on, and shows some of the methods.
        let line = line.trim_end_matches('?');
        let shown = line.is_empty() || line == "…" || compiled.iter().any(|text| text.contains(line));
        assert!(shown, "not in the compiled files: {line:?}");
    }
}
