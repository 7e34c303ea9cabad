use super::*;

fn topics(counts: &[(&str, i32)]) -> Map<Str, i32> {
    counts.iter().map(|(topic, count)| (Str::from(*topic), *count)).collect()
}

fn partitions(list: &str) -> Vec<TopicPartition> {
    let read = |it: &str| {
        let (topic, number) = it.rsplit_once('-').unwrap();
        partition(&Str::from(topic), number.parse().unwrap())
    };
    list.split_whitespace().map(read).collect()
}

/// Members with their topics and what they had.
fn members(list: &[(&str, &str, &str)]) -> Map<Str, Subscription> {
    let member = |(id, topics, owned): &(&str, &str, &str)| {
        let owned = partitions(owned);
        let had = (!owned.is_empty()).then_some((&owned[..], 1));
        let subscription = Subscription {
            topics: topics.split_whitespace().map(Str::from).collect(),
            generation: Some(1),
            user_data: UserData::Sticky.bytes(had),
            owned,
            ..Subscription::default()
        };
        (Str::from(*id), subscription)
    };
    list.iter().map(member).collect()
}

fn told(assignment: &Assignment) -> Vec<String> {
    let names = |it: &Vec<TopicPartition>| it.iter().map(TopicPartition::to_string).collect::<Vec<_>>().join(" ");
    assignment.iter().map(|(id, it)| format!("{id}: {}", names(it))).collect()
}

#[test]
fn ranges_are_per_topic() {
    let members = members(&[("a", "t u", ""), ("b", "t u", "")]);
    let assignment = assign(Assignor::Range, &topics(&[("t", 3), ("u", 3)]), &members);
    assert_eq!(told(&assignment), ["a: t-0 t-1 u-0 u-1", "b: t-2 u-2"]);
}

#[test]
fn static_members_come_first_by_their_instance() {
    let mut members = members(&[("a", "t", ""), ("b", "t", ""), ("c", "t", "")]);
    members.get_mut("c").unwrap().instance = Some("i1".into());
    let assignment = assign(Assignor::Range, &topics(&[("t", 4)]), &members);
    assert_eq!(told(&assignment), ["a: t-2", "b: t-3", "c: t-0 t-1"]);
}

#[test]
fn round_robin_skips_whoever_did_not_subscribe() {
    // Kafka's own example: three topics of one, two and three partitions.
    let members = members(&[("c0", "t0", ""), ("c1", "t0 t1", ""), ("c2", "t0 t1 t2", "")]);
    let assignment = assign(Assignor::RoundRobin, &topics(&[("t0", 1), ("t1", 2), ("t2", 3)]), &members);
    assert_eq!(told(&assignment), ["c0: t0-0", "c1: t1-0", "c2: t1-1 t2-0 t2-1 t2-2"]);
}

#[test]
fn sticky_keeps_what_it_can() {
    let members = members(&[("a", "t", "t-0 t-2 t-4"), ("b", "t", "t-1 t-3 t-5"), ("c", "t", "")]);
    let assignment = assign(Assignor::Sticky, &topics(&[("t", 6)]), &members);
    assert_eq!(told(&assignment), ["a: t-0 t-2", "b: t-1 t-3", "c: t-4 t-5"]);
}

#[test]
fn cooperative_gives_nothing_away_that_somebody_has() {
    let before = members(&[("a", "t", "t-0 t-2 t-4"), ("b", "t", "t-1 t-3 t-5"), ("c", "t", "")]);
    let first = assign(Assignor::CooperativeSticky, &topics(&[("t", 6)]), &before);
    assert_eq!(told(&first), ["a: t-0 t-2", "b: t-1 t-3", "c: "]);
    let after = members(&[("a", "t", "t-0 t-2"), ("b", "t", "t-1 t-3"), ("c", "t", "")]);
    let second = assign(Assignor::CooperativeSticky, &topics(&[("t", 6)]), &after);
    assert_eq!(told(&second), ["a: t-0 t-2", "b: t-1 t-3", "c: t-4 t-5"]);
}

#[test]
fn sticky_evens_out_where_subscriptions_differ() {
    // Kafka's own example of the sticky assignor: round robin would leave 1, 1 and 4.
    let members = members(&[("c0", "t0", ""), ("c1", "t0 t1", ""), ("c2", "t0 t1 t2", "")]);
    let assignment = assign(Assignor::Sticky, &topics(&[("t0", 1), ("t1", 2), ("t2", 3)]), &members);
    assert_eq!(told(&assignment), ["c0: t0-0", "c1: t1-0 t1-1", "c2: t2-0 t2-1 t2-2"]);
}

#[test]
fn a_claim_of_an_older_generation_is_void() {
    let mut members = members(&[("a", "t", "t-0 t-1"), ("b", "t", "t-0")]);
    members.get_mut("b").unwrap().generation = Some(2);
    let assignment = assign(Assignor::CooperativeSticky, &topics(&[("t", 2)]), &members);
    assert_eq!(told(&assignment), ["a: t-1", "b: t-0"]);
    // Two claims of one generation void each other.
    members.get_mut("b").unwrap().generation = Some(1);
    let assignment = assign(Assignor::CooperativeSticky, &topics(&[("t", 2)]), &members);
    assert_eq!(told(&assignment), ["a: t-1", "b: "]);
}

#[test]
fn user_data_are_read_as_they_are_written() {
    let had = partitions("t-0 t-2 u-1");
    let subscription = Subscription { user_data: UserData::Sticky.bytes(Some((&had, 7))), ..Subscription::default() };
    assert_eq!(subscription.had(UserData::Sticky), (had, Some(7)));
    for bytes in [&b"\x00"[..], b"\x00\x00\x00\x01\x7f\xff", b"\x7f\xff\xff\xff"] {
        let broken = Subscription { user_data: Some(bytes.to_vec().into()), ..Subscription::default() };
        assert_eq!(broken.had(UserData::Sticky), (Vec::new(), Some(-1)));
    }
}

/// Whatever members had and want, each partition has one owner who wants it, and sticky assignors are even.
#[test]
fn every_partition_has_one_owner_that_subscribed() {
    let mut random = crate::random::Random::new(7);
    for round in 0..300 {
        let topics: Map<Str, i32> =
            (0..1 + random.below(4)).map(|it| (Str::from(format!("t{it}")), random.below(7) as i32)).collect();
        let alike = round % 3 == 0;
        let mut members: Map<Str, Subscription> = Map::new();
        for id in 0..1 + random.below(6) {
            let wants = topics.keys().filter(|_| alike || random.below(3) > 0).cloned().collect();
            let mut owned = Vec::new();
            for (topic, count) in &topics {
                owned.extend((0..count + 1).filter(|_| random.below(4) == 0).map(|it| partition(topic, it)));
            }
            let generation = random.below(3) as i32;
            let subscription = Subscription {
                topics: wants,
                user_data: UserData::Sticky.bytes(Some((&owned, generation))),
                owned,
                generation: Some(generation),
                ..Subscription::default()
            };
            members.insert(Str::from(format!("m{id}")), subscription);
        }
        for assignor in Assignor::ALL {
            let assignment = assign(assignor, &topics, &members);
            let mut owners: Map<TopicPartition, Str> = Map::new();
            for (id, partitions) in &assignment {
                for it in partitions {
                    assert!(members[id].topics.contains(&it.topic), "{id} did not ask for {it}");
                    assert_eq!(owners.insert(it.clone(), id.clone()), None, "{it} has two owners");
                }
            }
            for (topic, count) in &topics {
                let wanted = members.values().any(|it| it.topics.contains(topic));
                let shared = (0..*count).filter(|it| owners.contains_key(&partition(topic, *it))).count();
                if assignor == Assignor::CooperativeSticky {
                    // What moves belongs to nobody for one rebalance.
                    assert!(shared <= *count as usize);
                } else {
                    assert_eq!(shared, if wanted { *count as usize } else { 0 }, "{assignor:?} {topic}");
                }
            }
            if assignor == Assignor::Sticky && alike {
                let counts: Vec<usize> = assignment.values().map(Vec::len).collect();
                assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
            }
        }
    }
}
