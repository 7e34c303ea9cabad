//! Offsets as comma-separated values: what `--export` writes and `--from-file` reads.

use ordered::Map;
use protocol::{Str, TopicPartition};

use super::cluster::Offsets;

/// A text longer than this is put in quotes without a look at it, as Kafka's writer does.
const LONGEST_PLAIN: usize = 24;

/// `topic,partition,offset` a line, with the group before it if there are several.
pub(super) fn written(all: &[(Str, Offsets)], with_group: bool) -> String {
    let mut text = String::new();
    for (group, offsets) in all {
        for (it, offset) in offsets {
            if with_group {
                text += &format!("{},", quoted(group));
            }
            text += &format!("{},{},{offset}\n", quoted(&it.topic), it.partition);
        }
    }
    text
}

fn quoted(text: &str) -> String {
    let is_plain = text.chars().count() <= LONGEST_PLAIN && !text.contains([',', '"', '\n', '\r']);
    if is_plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

/// The offsets of each group. A file that names no groups is of the only one that was asked for.
pub(super) fn read(text: &str, alone: Option<&str>) -> Result<Map<Str, Offsets>, String> {
    let mut plan: Map<Str, Offsets> = Map::new();
    for line in text.lines().filter(|it| !it.trim().is_empty()) {
        let wrong = || format!("This is no line of [group,]topic,partition,offset: {line}");
        let fields = fields(line).ok_or_else(wrong)?;
        let (group, topic, partition, offset) = match (&fields[..], alone) {
            ([topic, partition, offset], Some(group)) => (group, topic, partition, offset),
            ([group, topic, partition, offset], _) => (group.as_str(), topic, partition, offset),
            _ => return Err(wrong()),
        };
        let partition = partition.trim().parse().map_err(|_| wrong())?;
        let place = TopicPartition { topic: Str::from(topic.as_str()), partition };
        plan.entry(Str::from(group)).or_default().insert(place, offset.trim().parse().map_err(|_| wrong())?);
    }
    Ok(plan)
}

/// The fields of a line; `None` if a quote has no end, or no comma follows it.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let Some(mut inner) = rest.strip_prefix('"') else {
            let Some((field, after)) = rest.split_once(',') else {
                fields.push(rest.to_owned());
                return Some(fields);
            };
            fields.push(field.to_owned());
            rest = after;
            continue;
        };
        let mut field = String::new();
        loop {
            let (before, after) = inner.split_once('"')?;
            field += before;
            match after.strip_prefix('"') {
                // Two quotes are one.
                Some(after) => {
                    field.push('"');
                    inner = after;
                }
                None => {
                    inner = after;
                    break;
                }
            }
        }
        fields.push(field);
        match inner.strip_prefix(',') {
            Some(after) => rest = after,
            None => return inner.trim().is_empty().then_some(fields),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(topic: &str) -> Offsets {
        let place = |partition| TopicPartition { topic: Str::from(topic), partition };
        Offsets::from_iter([(place(0), 5), (place(1), 6)])
    }

    #[test]
    fn what_is_written_is_read() {
        let long = "a-name-of-twenty-five-letters";
        let all = [(Str::from("g"), offsets("t")), (Str::from("a,\"b\""), offsets(long))];
        let text = written(&all, true);
        assert_eq!(text, format!("g,t,0,5\ng,t,1,6\n\"a,\"\"b\"\"\",\"{long}\",0,5\n\"a,\"\"b\"\"\",\"{long}\",1,6\n"));
        assert_eq!(read(&text, None), Ok(Map::from_iter(all.clone())));
        assert_eq!(read(&text, Some("other")), Ok(Map::from_iter(all.clone())), "it names its groups");
        let text = written(&all[..1], false);
        assert_eq!(text, "t,0,5\nt,1,6\n");
        assert_eq!(read(&text, Some("h")), Ok(Map::from_iter([(Str::from("h"), offsets("t"))])));
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        for text in ["t,0", "t,0,5", "g,t,x,5", "g,t,0,x", "\"g,t,0,5", "\"g\"t,0,5", "g,t,0,5,6"] {
            assert!(read(text, None).is_err(), "{text}");
        }
    }
}
