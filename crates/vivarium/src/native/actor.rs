//! A scenario's producer or consumer: a client over real sockets on a thread of its own, and what became of what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use client::{Answer, Client, ClientConfig, OpId, Operation, Outbox, Outcome, ProducerRecord};
use protocol::{Instant, Str, TopicPartition};

use crate::native_client::{Happened, Network, Teller};

/// Operations that are no sends are numbered from here.
const OTHER: u64 = 1 << 40;
/// Values of a consumer that are kept to be looked at.
const KEPT: usize = 64;
const POLL_MS: i64 = 500;
/// A reader that was refused asks again after so long.
const RETRY: Duration = Duration::from_millis(100);

/// What an actor is to do.
pub(crate) enum Order {
    Do(Operation),
    Load(Workload),
    Unload,
    Follow(Str),
}

/// Records on its own, one each so often.
pub(crate) struct Workload {
    pub(crate) topic: Str,
    pub(crate) every: Duration,
    pub(crate) left: Option<u64>,
    pub(crate) keys: u32,
    pub(crate) size: usize,
}

/// What a producer was told of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Pending,
    Ok,
    Failed,
    Unknown,
}

/// A record and its fate.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) value: Option<Bytes>,
    pub(crate) topic: Str,
    pub(crate) told: Told,
    pub(crate) place: Option<TopicPartition>,
    pub(crate) offset: Option<i64>,
}

/// What became of what an actor did.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) sent: Vec<Sent>,
    pub(crate) consumed: VecDeque<Option<Bytes>>,
    pub(crate) consumed_total: u64,
    /// Where it will read next.
    pub(crate) positions: ordered::Map<TopicPartition, i64>,
    /// Operations but sends that are not answered yet, and the last answer.
    pub(crate) open: u64,
    /// A workload is not at its end.
    pub(crate) is_loaded: bool,
    pub(crate) last: Option<Outcome>,
}

pub(crate) struct Actor {
    pub(crate) is_idempotent: bool,
    books: Arc<Mutex<Books>>,
    teller: Teller<Order>,
}

impl Actor {
    pub(crate) fn start(config: ClientConfig, seed: u64) -> Actor {
        let network: Network<Order> = Network::new();
        let teller = network.teller();
        let books: Arc<Mutex<Books>> = Arc::default();
        let is_idempotent = config.idempotent();
        let run = Run {
            client: Client::boot(config, seed),
            network,
            books: books.clone(),
            next_other: OTHER,
            load: None,
            follow: None,
            retry_at: None,
        };
        thread::spawn(move || run.run());
        Actor { is_idempotent, books, teller }
    }

    pub(crate) fn tell(&self, order: Order) -> Result<(), String> {
        if let Order::Do(operation) = &order
            && !matches!(operation, Operation::Send(_))
        {
            self.books().open += 1;
        }
        if let Order::Load(_) = &order {
            self.books().is_loaded = true;
        }
        if self.teller.tell(order) { Ok(()) } else { Err("it has ended".to_owned()) }
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    /// More records will come by themselves.
    pub(crate) fn is_loaded(&self) -> bool {
        self.books().is_loaded
    }
}

/// A thread that panicked leaves what is true until then.
fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Run {
    client: Client,
    network: Network<Order>,
    books: Arc<Mutex<Books>>,
    next_other: u64,
    load: Option<(Workload, Instant)>,
    follow: Option<Str>,
    retry_at: Option<Instant>,
}

impl Run {
    fn run(mut self) {
        while !self.client.is_closed() {
            let next_record = self.load.as_ref().map(|it| it.1);
            let wake_at = [self.client.wake_at(), next_record, self.retry_at].into_iter().flatten().min();
            match self.network.next(wake_at) {
                Happened::Input(input) => self.handle(*input),
                Happened::Other(order) => self.obey(order),
            }
            let now = self.network.now().mono;
            while self.load.as_ref().is_some_and(|it| it.1 <= now) {
                self.send_next();
            }
            if self.retry_at.is_some_and(|at| at <= now) {
                self.retry_at = None;
                self.read_on();
            }
        }
    }

    fn handle(&mut self, input: client::Input) {
        let mut out = Outbox::default();
        self.client.handle(self.network.now(), input, &mut out);
        self.network.carry_out(&mut out);
        for (op, outcome) in out.outcomes {
            self.settled(op, outcome);
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Do(Operation::Send(record)) => self.send(record),
            Order::Do(operation) => self.ask(operation),
            Order::Load(load) => self.load = Some((load, self.network.now().mono)),
            Order::Unload => self.unload(),
            Order::Follow(topic) => {
                self.follow = Some(topic.clone());
                self.ask_for(Operation::PartitionsFor(topic));
            }
        }
    }

    fn send(&mut self, record: ProducerRecord) {
        let mut books = lock(&self.books);
        let op = OpId(books.sent.len() as u64);
        let (value, topic) = (record.value.clone(), record.topic.clone());
        books.sent.push(Sent { value, topic, told: Told::Pending, place: None, offset: None });
        drop(books);
        self.handle(client::Input::Do(op, Operation::Send(record)));
    }

    fn ask(&mut self, operation: Operation) {
        let op = OpId(self.next_other);
        self.next_other += 1;
        self.handle(client::Input::Do(op, operation));
    }

    /// Of its own accord: nobody has counted it as open yet.
    fn ask_for(&mut self, operation: Operation) {
        lock(&self.books).open += 1;
        self.ask(operation);
    }

    fn send_next(&mut self) {
        let Some((load, at)) = &mut self.load else { return };
        if load.left == Some(0) {
            return self.unload();
        }
        load.left = load.left.map(|left| left - 1);
        *at = Instant(at.0 + u64::try_from(load.every.as_micros()).unwrap_or(u64::MAX));
        let number = lock(&self.books).sent.len();
        let mut value = number.to_string().into_bytes();
        value.resize(value.len().max(load.size), b'.');
        let key = (load.keys > 0).then(|| Bytes::from(format!("k{}", number % load.keys as usize)));
        let record =
            ProducerRecord { topic: load.topic.clone(), key, value: Some(value.into()), ..ProducerRecord::default() };
        self.send(record);
    }

    fn unload(&mut self) {
        self.load = None;
        lock(&self.books).is_loaded = false;
    }

    fn settled(&mut self, op: OpId, outcome: Outcome) {
        let mut books = lock(&self.books);
        if op.0 < OTHER {
            let Some(sent) = usize::try_from(op.0).ok().and_then(|it| books.sent.get_mut(it)) else { return };
            sent.told = match &outcome {
                Outcome::Ok(_) => Told::Ok,
                Outcome::Failed(_) => Told::Failed,
                Outcome::Unknown(_) => Told::Unknown,
            };
            if let Outcome::Ok(Answer::Sent(it)) = outcome {
                (sent.place, sent.offset) = (Some(it.partition), it.offset.map(|it| it.0));
            }
            return;
        }
        books.open = books.open.saturating_sub(1);
        if let Outcome::Ok(Answer::Records(records)) = &outcome {
            books.consumed_total += records.len() as u64;
            for it in records {
                books.consumed.push_back(it.record.value.clone());
                books.positions.insert(it.partition.clone(), it.record.offset.0 + 1);
            }
            let excess = books.consumed.len().saturating_sub(KEPT);
            books.consumed.drain(..excess);
        }
        let Some(topic) = self.follow.clone() else {
            // Together with what is open: whoever waits for that finds it.
            books.last = Some(outcome);
            return;
        };
        drop(books);
        match outcome {
            Outcome::Ok(Answer::Partitions(partitions)) => {
                let place = |partition| TopicPartition { topic: topic.clone(), partition };
                self.ask_for(Operation::Assign(partitions.iter().map(|it| place(it.partition)).collect()));
                self.read_on();
            }
            Outcome::Ok(Answer::Records(_)) => self.read_on(),
            Outcome::Ok(_) => {}
            Outcome::Failed(_) | Outcome::Unknown(_) => {
                self.retry_at = Some(self.network.now().mono.plus_ms(RETRY.as_millis() as i64));
            }
        }
    }

    fn read_on(&mut self) {
        self.ask_for(Operation::Poll { timeout_ms: POLL_MS });
    }
}
