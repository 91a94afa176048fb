//! Tests the budget alone, on a paused clock.

use futures_util::FutureExt as _;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn budget() -> Arc<Budget> {
    Budget::new(2000, PATIENCE)
}

async fn admitted(admission: &mut Admission, may_pass: bool) -> Result<(), Status> {
    poll_fn(|cx| admission.poll(cx, may_pass)).await
}

#[tokio::test(start_paused = true)]
async fn message_waits_until_others_release_memory() {
    let budget = budget();
    let held = budget.charge(Kind::Outgoing, 1000);
    let mut admission = Admission::new(budget.clone(), Kind::Outgoing);
    assert!(admitted(&mut admission, false).now_or_never().is_none());
    let waiting = tokio::spawn(async move { admitted(&mut admission, false).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(held);
    assert!(waiting.await.unwrap().is_ok());
    let other_half = budget.charge(Kind::Received, 5000);
    assert!(budget.has_room(Kind::Outgoing) && !budget.has_room(Kind::Received));
    drop(other_half);
}

#[tokio::test(start_paused = true)]
async fn one_message_may_exceed_the_budget_until_it_is_sent() {
    let budget = budget();
    let _held = budget.charge(Kind::Outgoing, 1000);
    let (mut first, mut second) =
        (Admission::new(budget.clone(), Kind::Outgoing), Admission::new(budget.clone(), Kind::Outgoing));
    admitted(&mut first, true).await.unwrap();
    let mut charge = Charge::default();
    first.charge(&mut charge, 1 << 20);
    let message = charge.bind(BytesMut::from(&b"message"[..]));
    let mut part = message.clone();
    drop(message);
    assert!(admitted(&mut second, true).now_or_never().is_none());
    part.truncate(1);
    assert!(admitted(&mut second, true).now_or_never().is_none(), "a part keeps all of it in memory");
    drop(part);
    admitted(&mut second, true).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn wait_fails_if_nothing_is_released_in_time() {
    let budget = budget();
    let mut held: Vec<_> = (0..10).map(|_| budget.charge(Kind::Outgoing, 500)).collect();
    let mut admission = Admission::new(budget.clone(), Kind::Outgoing);
    let begin = tokio::time::Instant::now();
    let waiting = tokio::spawn(async move { admitted(&mut admission, false).await });
    tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
    held.pop();
    let status = waiting.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("max_connection_memory, 2000 bytes"), "{status}");
    assert!(begin.elapsed() > PATIENCE, "what was given back begins another wait");
}

#[tokio::test(start_paused = true)]
async fn each_admitted_message_wakes_the_next() {
    let budget = budget();
    let held = budget.charge(Kind::Outgoing, 1000);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let mut admission = Admission::new(budget.clone(), Kind::Outgoing);
        waiting.spawn(async move { admitted(&mut admission, false).await });
    }
    tokio::task::yield_now().await;
    drop(held);
    assert!(waiting.join_all().await.iter().all(Result::is_ok));
}

#[test]
fn large_metadata_is_refused_when_the_budget_is_used_up() {
    let budget = budget();
    let _held = budget.charge(Kind::Outgoing, 1000);
    assert!(budget.charge_call(CALL_ALLOWANCE).is_ok());
    let status = budget.charge_call(CALL_ALLOWANCE + 1).err().unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[test]
fn decompression_is_free_up_to_a_size_then_proportional_to_the_wire() {
    let budget = budget();
    assert!(budget.count_restored(100, RESTORED_FREELY).is_ok());
    assert!(budget.count_restored(0, 100 * RESTORED_PER_BYTE).is_ok());
    let status = budget.count_restored(1, RESTORED_PER_BYTE + 1).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
}
