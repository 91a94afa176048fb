// The calls of the bare client, made with barewire's: typed messages in and out, every answer compared.
//
// Included by two programs: `INTERCEPTS` adds an interceptor that reads a header and the final status.

use std::process::ExitCode;
use std::time::Duration;

use barewire::services::route_guide::GET_FEATURE;
use barewire::services::route_guide::messages::{Feature, Point};
use barewire::{CallOptions, Client, transport};
use barewire_instructions::{Load, run_client};
use tokio::task::JoinSet;

const POINT: Point = Point { latitude: 409_146_138, longitude: -746_188_906 };

fn main() -> ExitCode {
    run_client(load)
}

async fn load(load: Load) -> Result<(), String> {
    let connector = transport::tcp::connect(format!("127.0.0.1:{}", load.port));
    let mut client = Client::connect(connector).await.map_err(|error| error.to_string())?;
    if load.deadline {
        client = client.with(CallOptions::new().timeout(Duration::from_secs(10)));
    }
    if INTERCEPTS {
        client = client.intercept(|call| {
            std::hint::black_box(call.metadata().get("user-agent"));
            call.on_end(|end| {
                std::hint::black_box(end.code());
            });
            Ok(())
        });
    }
    let mut callers = JoinSet::new();
    for caller in 0..load.in_flight {
        callers.spawn(call_in_turn(load, caller, client.clone()));
    }
    while let Some(caller) = callers.join_next().await {
        caller.map_err(|error| error.to_string())??;
    }
    Ok(())
}

async fn call_in_turn(load: Load, caller: u32, client: Client) -> Result<(), String> {
    let expected = Feature {
        name: "Berkshire Valley Management Area Trail, Jefferson, NJ, USA".to_owned(),
        location: Some(POINT),
    };
    for call in load.share(caller) {
        let feature = client.unary(GET_FEATURE, POINT).await.map_err(|status| format!("call {call}: {status}"))?;
        if *feature != expected {
            return Err(format!("call {call}: the answer has another feature than expected"));
        }
    }
    Ok(())
}
