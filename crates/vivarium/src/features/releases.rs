//! Releases of Kafka: their names, and the levels of features that their clusters begin with.

use std::fmt::Write as _;

/// The feature after which releases are named.
pub(super) const METADATA_VERSION: &str = "metadata.version";
/// The first level of metadata.version that there still is, and its name; the names of the levels that follow.
const FIRST_LEVEL: i16 = 7;
const RELEASES: [&str; 25] = [
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2", "3.7-IV0", "3.7-IV1",
    "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0", "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0",
    "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0", "4.4-IV0",
];
/// The last that is released.
pub(super) const LATEST: &str = "4.3-IV0";

/// A feature beside metadata.version.
pub(super) struct Feature {
    pub(super) name: &'static str,
    /// The first metadata.version with which a new cluster has each level, from level 1 on.
    since: &'static [i16],
    /// The metadata.version that each level above 0 needs, if any.
    needs: Option<i16>,
}

/// In the order in which Kafka's tool has them.
pub(super) const FEATURES: [Feature; 6] = [
    Feature { name: "kraft.version", since: &[21], needs: None },
    Feature { name: "transaction.version", since: &[24, 24], needs: None },
    Feature { name: "group.version", since: &[22], needs: None },
    Feature { name: "eligible.leader.replicas.version", since: &[26], needs: Some(23) },
    Feature { name: "share.version", since: &[28], needs: None },
    Feature { name: "streams.version", since: &[29], needs: None },
];

impl Feature {
    /// The level in a new cluster with this metadata.version.
    pub(super) fn default_level(&self, metadata_version: i16) -> i16 {
        self.since.iter().filter(|since| **since <= metadata_version).count() as i16
    }
}

/// A level as people are told it.
pub(super) fn shown(feature: &str, level: i16) -> String {
    if feature != METADATA_VERSION {
        return level.to_string();
    }
    release(level).map_or_else(|| format!("UNKNOWN {level}"), str::to_owned)
}

/// The name of a level of metadata.version.
fn release(level: i16) -> Option<&'static str> {
    let place = usize::try_from(level.checked_sub(FIRST_LEVEL)?).ok()?;
    RELEASES.get(place).copied()
}

/// The level of metadata.version of a release: one that is named in full, or the last of 4.2 or 4.2.1.
pub(super) fn level_of(version: &str) -> Result<i16, String> {
    let mut segments = version.splitn(3, '.');
    let key = match (segments.next(), segments.next(), segments.next()) {
        (Some(major), Some(minor), Some(_)) => format!("{major}.{minor}"),
        _ => version.to_owned(),
    };
    let released = RELEASES.iter().position(|it| *it == LATEST).unwrap_or_default();
    let of_release = |it: &&str| it.split_once("-IV").is_some_and(|(release, _)| release == key);
    let place =
        RELEASES.iter().position(|it| *it == key).or_else(|| RELEASES[..=released].iter().rposition(of_release));
    place.map(|place| FIRST_LEVEL + place as i16).ok_or_else(|| {
        let all = RELEASES.join(", ");
        format!("Unknown metadata.version '{version}'. Supported metadata.version are: {all}")
    })
}

/// Says which levels a release has.
pub(super) fn version_mapping(version: &str, said: &mut String) -> Result<(), String> {
    let level = level_of(version)?;
    // Writing to a string does not fail.
    let _ = writeln!(said, "{METADATA_VERSION}={level} ({version})");
    for feature in &FEATURES {
        let _ = writeln!(said, "{}={}", feature.name, feature.default_level(level));
    }
    Ok(())
}

/// Says what each `feature=level` needs.
pub(super) fn dependencies(features: &[String], said: &mut String) -> Result<(), String> {
    for it in features {
        let (name, level) = name_and_level(it)?;
        if name == METADATA_VERSION {
            let release = release(level).ok_or_else(|| format!("Unknown {METADATA_VERSION} {level}"))?;
            let _ = writeln!(said, "{name}={level} ({release}) has no dependencies.");
            continue;
        }
        let feature = FEATURES.iter().find(|feature| feature.name == name);
        let feature = feature.ok_or_else(|| format!("Unknown feature: {name}"))?;
        if !(0..=feature.since.len() as i16).contains(&level) {
            return Err(format!("No feature:{name} with feature level {level}"));
        }
        let _ = match feature.needs.filter(|_| level > 0) {
            None => writeln!(said, "{name}={level} has no dependencies."),
            Some(needed) => {
                let release = shown(METADATA_VERSION, needed);
                writeln!(said, "{name}={level} requires:\n    {METADATA_VERSION}={needed} ({release})")
            }
        };
    }
    Ok(())
}

/// `feature=level`.
pub(super) fn name_and_level(text: &str) -> Result<(&str, i16), String> {
    let wrong = |what: &str| format!("Can't parse feature=level string {text}: {what}");
    let (name, level) = text.split_once('=').ok_or_else(|| wrong("equals sign not found."))?;
    let (name, level) = (name.trim(), level.trim());
    let number = level.parse().map_err(|_| wrong(&format!("unable to parse {level} as a short.")))?;
    Ok((name, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(tell: impl FnOnce(&mut String) -> Result<(), String>) -> Result<String, String> {
        let mut said = String::new();
        tell(&mut said).map(|()| said)
    }

    #[test]
    fn a_release_has_the_levels_that_kafka_gives_it() {
        let mapping = |version: &str| said(|said| version_mapping(version, said));
        assert_eq!(
            mapping("4.3-IV0").unwrap(),
            "metadata.version=30 (4.3-IV0)\nkraft.version=1\ntransaction.version=2\ngroup.version=1\n\
             eligible.leader.replicas.version=1\nshare.version=1\nstreams.version=1\n"
        );
        assert_eq!(
            mapping("4.0.1").unwrap(),
            "metadata.version=25 (4.0.1)\nkraft.version=1\ntransaction.version=2\ngroup.version=1\n\
             eligible.leader.replicas.version=0\nshare.version=0\nstreams.version=0\n"
        );
        assert!(mapping("3.3-IV3").unwrap().starts_with("metadata.version=7 (3.3-IV3)\nkraft.version=0\n"));
        for unknown in ["4.4", "4", "3.3-IV2", ""] {
            let why = mapping(unknown).unwrap_err();
            let start =
                format!("Unknown metadata.version '{unknown}'. Supported metadata.version are: 3.3-IV3, 3.4-IV0,");
            assert!(why.starts_with(&start) && why.ends_with(", 4.3-IV0, 4.4-IV0"), "{why}");
        }
    }

    #[test]
    fn dependencies_are_told_as_kafka_tells_them() {
        let of = |features: &[&str]| {
            let features: Vec<String> = features.iter().map(|it| (*it).to_owned()).collect();
            said(|said| dependencies(&features, said))
        };
        assert_eq!(
            of(&["metadata.version=21", "eligible.leader.replicas.version = 1", "kraft.version=0"]).unwrap(),
            "metadata.version=21 (3.9-IV0) has no dependencies.\n\
             eligible.leader.replicas.version=1 requires:\n    metadata.version=23 (4.0-IV1)\n\
             kraft.version=0 has no dependencies.\n"
        );
        for (feature, why) in [
            ("group.version", "Can't parse feature=level string group.version: equals sign not found."),
            ("a=b", "Can't parse feature=level string a=b: unable to parse b as a short."),
            ("a=1", "Unknown feature: a"),
            ("group.version=9", "No feature:group.version with feature level 9"),
            ("metadata.version=6", "Unknown metadata.version 6"),
            ("metadata.version=-32768", "Unknown metadata.version -32768"),
        ] {
            assert_eq!(of(&[feature]), Err(why.to_owned()));
        }
    }
}
