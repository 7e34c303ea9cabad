//! Tools that ask one thing after the other.
//!
//! Such a tool is a function of its arguments and of the answers so far. With each answer it begins anew, runs through the answers
//! that there are, and stops at the first question that has none. So it reads like a script, waits without a thread, and what there
//! is to keep of it is plain data. What it says counts once it has come to its end.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use protocol::WallMs;

use super::{Io, Tool, answer, strange};
use crate::admin::{AdminAnswer, AdminCall, Asked};
use crate::input::{OpId, Operation};
use crate::outbox::{Answer, Cause, Failure, Outcome};
use crate::wire::{RequestBody, ResponseBody};

/// What such a tool does.
pub(super) trait Plan: Send + Sync {
    /// Does it, and tells the exit code.
    fn run(&self, asker: &Asker<'_>, said: &mut Said) -> i32;
}

/// What a tool has to say.
#[derive(Default)]
pub(super) struct Said {
    pub(super) out: String,
    pub(super) err: String,
}

impl Said {
    /// A line of what it was asked for.
    pub(super) fn line(&mut self, line: &str) {
        self.out += line;
        self.out.push('\n');
    }

    /// A line of what is wrong.
    pub(super) fn complain(&mut self, line: &str) {
        self.err += line;
        self.err.push('\n');
    }

    /// Where Kafka's tool tells errors among the rest.
    pub(super) fn error(&mut self, what: &str) {
        self.out += "\nError: ";
        self.line(what);
    }
}

/// An answer, shared by the copies of a run.
type Kept = Arc<Result<AdminAnswer, Failure>>;

/// Answers questions, as far as they were asked before.
pub(super) struct Asker<'a> {
    answers: &'a [Kept],
    given: Cell<usize>,
    /// The first question that has no answer.
    open: RefCell<Option<AdminCall>>,
    /// The wall clock when the tool began.
    pub(super) began: WallMs,
}

impl<'a> Asker<'a> {
    /// The answer. What follows one that is not there yet is for nothing.
    pub(super) fn ask(&self, call: AdminCall) -> Result<&'a AdminAnswer, Failure> {
        let given = self.given.get();
        if let Some(answer) = self.answers.get(given) {
            self.given.set(given + 1);
            return (**answer).as_ref().map_err(Failure::clone);
        }
        self.open.borrow_mut().get_or_insert(call);
        Err(Failure::new(Cause::Illegal, "nobody has answered yet"))
    }

    /// The answer to a question in the protocol's words.
    pub(super) fn words(
        &self,
        name: &'static str,
        of: Asked,
        body: RequestBody,
        latest: i16,
    ) -> Result<&'a ResponseBody, Failure> {
        match self.ask(AdminCall::Ask { name, of, body: Box::new(body), latest })? {
            AdminAnswer::Asked(body) => Ok(body),
            _ => Err(strange(name)),
        }
    }
}

/// A run of such a tool.
#[derive(Clone)]
struct Asking {
    plan: Arc<dyn Plan>,
    answers: Vec<Kept>,
    began: WallMs,
}

/// A run that does this.
pub(super) fn asking(plan: impl Plan + 'static) -> Box<dyn Tool> {
    Box::new(Asking { plan: Arc::new(plan), answers: Vec::new(), began: WallMs(0) })
}

impl Asking {
    fn go_on(&mut self, io: &mut Io<'_>) {
        let mut said = Said::default();
        let asker = Asker { answers: &self.answers, given: Cell::new(0), open: RefCell::new(None), began: self.began };
        let code = self.plan.run(&asker, &mut said);
        if let Some(call) = asker.open.into_inner() {
            io.start(Operation::Admin(call));
            return;
        }
        io.stdout.extend_from_slice(said.out.as_bytes());
        io.stderr.extend_from_slice(said.err.as_bytes());
        io.exit = Some(code);
    }
}

impl Tool for Asking {
    fn begin(&mut self, io: &mut Io<'_>) {
        self.began = io.now.wall;
        self.go_on(io);
    }

    fn outcome(&mut self, _op: OpId, outcome: Outcome, io: &mut Io<'_>) {
        let answer = answer(outcome).and_then(|it| match it {
            Answer::Admin(answer) => Ok(answer),
            _ => Err(strange("an admin's question")),
        });
        self.answers.push(Arc::new(answer));
        self.go_on(io);
    }

    fn copy(&self) -> Box<dyn Tool> {
        Box::new(self.clone())
    }
}
