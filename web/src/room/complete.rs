//! What can come next in a line that somebody types: words of the scenario language, names of what there is, keys of a configuration.

use sim::check::Check;

use super::scene::Scene;
use crate::view::Role;

/// What follows each word that begins a line, or a question: `$b` a broker, `$p` a process, `$c` a client, `$P` a producer, `$C` a
/// consumer, `$w` a wire client, `$t` a topic, `$n` a partition, `$g` a group, `$m` a message, `$k` a check; what ends
/// with `=` comes in any order, at the end. Actions are first, then what else begins a line, conditions, and questions.
const GRAMMAR: &str = "\
producer * acks= linger.ms= enable.idempotence= batch.size= retries= delivery.timeout.ms= compression.type=
consumer * group.id= group.protocol= auto.offset.reset= enable.auto.commit= max.poll.records= client.rack= group.instance.id=
wire * $b
topic * partitions= replication= replicas= min.insync.replicas= cleanup.policy= retention.ms= segment.bytes=
alter $t min.insync.replicas= cleanup.policy= retention.ms= retention.bytes= unclean.leader.election.enable=
alter-broker $b log.retention.ms= follower.replication.throttled.rate= leader.replication.throttled.rate=
partitions $t
delete topic|records $t|$n before
produce $P $t key= value= partition=
load $P $t every= count= keys= size=
unload $P
assign $C $n $n $n
seek $C $n beginning|end
poll $C
follow $C $t
subscribe $C $t $t
slow $C
commit $C $n
close $c
init-producer-id $w
wire-produce $w $n acks= producer= epoch= sequence= value=
ask $w Fetch|Heartbeat|OffsetCommit|FindCoordinator|ConsumerGroupHeartbeat
elect $w preferred|unclean $n
reassign $w $n cancel|$b
move $w $n
add-voter $w $b
remove-voter $w $b
start $p
kill $p
wipe $b
power-cut $b torn
stop $b
pause $p
resume $p
cut $p ->|$p $p
heal $p $p
delay $p $p
slow-disk $b
disk-full $b
disk-error $b read|write|sync
lose-directory $b
disk-heal $b
bit-rot $b $n
skew-clock $p
drop next|message response|$m of Produce|Fetch|JoinGroup|SyncGroup|Heartbeat|OffsetCommit to $c
deliver message $m
corrupt next request of Produce from $P
run until|to event
at *
show
expect
acked $P
settled $P
answered $w
serving $b
down $p
idle $P
caught-up $C $t
next append|ack|records|retry|election|isr-change|rebalance|finding
consumed $C
log $n on $b
start $n on $b
high-watermark $n on $b
end $n on $b
epochs $n on $b
leader $n
leader-epoch $n
isr $n
elr $n
replicas $n
controller
voters
fenced $b
behind
outcome $P
appended $P
answer $w
last $c
group $g
members $g
unsettled $g
paused $g
owned $C
epoch $C
committed $n in $g
lag $n in $g
check $k
lost
allowed";
/// How many lines of it are actions, begin a line at all, or are no questions.
const ACTIONS: usize = 47;
const STEPS: usize = 51;
const NO_QUESTIONS: usize = 59;

/// Where the last word of a line begins, and what it can be: all of it.
pub(crate) fn offers(line: &str, scene: &Scene) -> (usize, Vec<String>) {
    let at = line.rfind(' ').map_or(0, |it| it + 1);
    let (before, begun) = line.split_at(at);
    let mut words: Vec<&str> = before.split_whitespace().collect();
    let (mut from, mut to) = (0, STEPS);
    // A question or an action within the line is looked up by itself.
    loop {
        let nested = match words[..] {
            ["show" | "expect", ..] => Some((1, NO_QUESTIONS, usize::MAX)),
            ["run", "until", ..] => Some((2, STEPS, usize::MAX)),
            ["at", _, ..] => Some((2, 0, ACTIONS)),
            _ => None,
        };
        let Some((skip, first, last)) = nested else { break };
        words.drain(..skip);
        (from, to) = (first, last);
    }
    let mut offers = Vec::new();
    let rules = || GRAMMAR.lines().enumerate().filter(|it| (from..to).contains(&it.0)).map(|it| it.1);
    match words.split_first() {
        None => offers.extend(rules().map(|it| it.split(' ').next().unwrap_or_default().to_owned())),
        Some((first, rest)) => {
            let rule = rules().find(|it| it.split(' ').next() == Some(first)).unwrap_or_default();
            let tokens: Vec<&str> = rule.split(' ').skip(1).collect();
            let at = rest.len();
            let keys = tokens.iter().position(|it| it.ends_with('=')).unwrap_or(tokens.len());
            let next: &[&str] = if at >= keys { &tokens[keys..] } else { &tokens[at..=at] };
            for token in next {
                for one in token.split('|') {
                    name(one, scene, &mut offers);
                }
            }
            // A key is given once.
            offers.retain(|it| !it.ends_with('=') || !rest.iter().any(|word| word.starts_with(&**it)));
        }
    }
    offers.retain(|it| it.starts_with(begun));
    ordered::sort(&mut offers);
    offers.dedup();
    (at, offers)
}

/// What a word of the grammar can be.
fn name(token: &str, scene: &Scene, offers: &mut Vec<String>) {
    let view = &scene.view;
    let clients = |role: Option<Role>| {
        let is = move |it: &&crate::view::Client| role.is_none_or(|role| it.role == role);
        view.clients.iter().filter(is).map(|it| it.name.clone())
    };
    let brokers = || view.brokers.iter().map(|it| it.name.clone());
    match token {
        "*" => {}
        "$b" => offers.extend(brokers()),
        "$p" => offers.extend(brokers().chain(clients(None))),
        "$c" => offers.extend(clients(None)),
        "$P" => offers.extend(clients(Some(Role::Producer))),
        "$C" => offers.extend(clients(Some(Role::Consumer))),
        "$w" => offers.extend(clients(Some(Role::Wire))),
        "$t" => offers.extend(view.partitions.iter().map(|it| it.topic.clone())),
        "$n" => offers.extend(view.partitions.iter().map(|it| it.name.clone())),
        "$g" => offers.extend(view.groups.iter().map(|it| it.name.clone())),
        "$m" => offers.extend(view.messages.iter().filter(|it| it.from != it.to).map(|it| it.id.clone())),
        "$k" => offers.extend(Check::ALL.iter().map(|it| it.name().to_owned())),
        word => offers.push(word.to_owned()),
    }
}

/// A line with as much more of its last word as all offers have in common; where there is one, all of it.
pub(crate) fn completed(line: &str, at: usize, offers: &[String]) -> String {
    let Some(first) = offers.first() else { return line.to_owned() };
    let mut common = first.len();
    for it in offers {
        let same = first.bytes().zip(it.bytes()).take_while(|it| it.0 == it.1).count();
        common = common.min(same);
    }
    while !first.is_char_boundary(common) {
        common -= 1;
    }
    let space = if offers.len() == 1 && !first.ends_with('=') { " " } else { "" };
    format!("{}{}{space}", &line[..at], &first[..common])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use sim::script::words::{self, CONDITIONS, QUESTIONS};

    #[test]
    fn every_word_of_the_language_has_its_line() {
        let words: Vec<&str> = GRAMMAR.lines().map(|it| it.split(' ').next().unwrap()).collect();
        assert!(words[..ACTIONS].iter().eq(&words::ACTIONS), "{words:?}");
        assert_eq!(words[ACTIONS..STEPS], ["run", "at", "show", "expect"]);
        let waits = &words[STEPS..=NO_QUESTIONS];
        assert!(waits.len() == CONDITIONS.len() && waits.iter().all(|it| CONDITIONS.contains(it)), "{waits:?}");
        let questions = &words[NO_QUESTIONS..];
        assert!(
            questions.len() == QUESTIONS.len() && questions.iter().all(|it| QUESTIONS.contains(it)),
            "{questions:?}"
        );
    }

    /// What a word of the language can be followed by is what the language says, not what is known of it here.
    #[test]
    fn every_api_that_can_be_asked_is_offered_and_no_other() {
        let after = |word: &str, at: usize| -> Vec<&str> {
            let rule = GRAMMAR.lines().find(|it| it.split(' ').next() == Some(word)).unwrap();
            rule.split(' ').nth(at).unwrap().split('|').collect()
        };
        let apis = (0..=i16::from(u8::MAX)).filter_map(|it| protocol::ApiKey::try_from(it).ok()).map(|it| it.name());
        let expected = |line: &str| sim::script::Scenario::parse(line).unwrap_err().expected;
        // What is wrong with the line is what follows the API, if that can be asked.
        let all = expected("ask w Produce");
        assert!(all.contains("Fetch, "), "{all}");
        let mut asked: Vec<&str> = apis.clone().filter(|it| expected(&format!("ask w {it} no=1")) != all).collect();
        let mut offered = after("ask", 2);
        ordered::sort(&mut asked);
        ordered::sort(&mut offered);
        assert_eq!(offered, asked);
        for word in ["drop", "corrupt"] {
            let named = GRAMMAR.lines().find(|it| it.starts_with(word)).unwrap();
            let named = named.split(' ').skip_while(|it| *it != "of").nth(1).unwrap();
            assert!(named.split('|').all(|it| apis.clone().any(|api| api == it)), "{named}");
        }
        let happenings = sim::script::Happening::ALL.map(sim::script::Happening::word);
        assert_eq!(after("next", 1), happenings);
    }

    #[test]
    fn what_is_offered_is_what_there_is() {
        let mut engine = Engine::new("3").unwrap();
        let mut scene = Scene::new(1);
        scene.view = engine.view();
        let offer = |line: &str| offers(line, &scene).1.join(" ");
        assert_eq!(offer("po"), "poll power-cut");
        assert_eq!(offer("kill "), "A B b1 b2 b3 p1 p2 p3");
        assert_eq!(offer("kill b"), "b1 b2 b3");
        assert_eq!(offer("power-cut b1 "), "torn");
        assert_eq!(offer("produce p1 orders "), "key= partition= value=");
        assert_eq!(offer("produce p1 orders key=a "), "partition= value=");
        assert_eq!(offer("show lea"), "leader leader-epoch");
        assert_eq!(offer("show log orders-0 on b"), "b1 b2 b3");
        assert_eq!(offer("run until le"), "leader leader-epoch");
        assert_eq!(offer("run until acked "), "p1 p2 p3");
        assert_eq!(offer("at 3s run"), "");
        assert_eq!(offer("at 3s ki"), "kill");
        assert_eq!((offer("nonsense "), offer("cut p1 ")), (String::new(), "-> A B b1 b2 b3 p1 p2 p3".to_owned()));
        let complete = |line: &str| {
            let (at, offers) = offers(line, &scene);
            completed(line, at, &offers)
        };
        assert_eq!((&*complete("ki"), &*complete("kill b"), &*complete("prod")), ("kill ", "kill b", "produce"));
        assert_eq!((&*complete("seek"), &*complete("seek A")), ("seek ", "seek A "), "a whole word leads to the next");
        assert_eq!(
            (&*complete("show leader o"), &*complete("produce p1 orders k")),
            ("show leader orders-", "produce p1 orders key=")
        );
    }
}
