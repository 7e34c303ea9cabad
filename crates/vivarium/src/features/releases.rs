//! Releases of Kafka: their names, and the levels of features that their clusters begin with.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The feature after which releases are named.
pub(crate) const METADATA_VERSION: &str = "metadata.version";
/// Voters as records; its level is in no bootstrap metadata.
pub(crate) const KRAFT_VERSION: &str = "kraft.version";
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
    Feature { name: KRAFT_VERSION, since: &[21], needs: None },
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

    fn expect(&self, level: i16) -> Result<(), String> {
        match (0..=self.since.len() as i16).contains(&level) {
            true => Ok(()),
            false => Err(format!("No feature:{} with feature level {level}", self.name)),
        }
    }

    /// There is such a level, and it goes with this metadata.version.
    fn check(&self, level: i16, metadata_version: i16) -> Result<(), String> {
        self.expect(level)?;
        match self.needs.filter(|needed| level > 0 && *needed > metadata_version) {
            None => Ok(()),
            Some(needed) => Err(format!(
                "{} could not be set to {level} because it depends on {METADATA_VERSION} level {needed}",
                self.name
            )),
        }
    }
}

/// A level as people are told it.
pub(crate) fn shown(feature: &str, level: i16) -> String {
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
    let released = released();
    let of_release = |it: &&str| it.split_once("-IV").is_some_and(|(release, _)| release == key);
    let place =
        RELEASES.iter().position(|it| *it == key).or_else(|| RELEASES[..=released].iter().rposition(of_release));
    place.map(|place| FIRST_LEVEL + place as i16).ok_or_else(|| unknown(version, &RELEASES))
}

/// The place of the last that is released.
fn released() -> usize {
    RELEASES.iter().position(|it| *it == LATEST).unwrap_or_default()
}

/// The levels that a cluster is formatted with, metadata.version first: those of a release, but for the features that are named
/// with a level. A dynamic quorum is one whose voters the log names.
pub(crate) fn initial_levels(
    release: Option<&str>,
    features: &[String],
    is_dynamic: bool,
) -> Result<Vec<(&'static str, i16)>, String> {
    let mut asked = BTreeMap::new();
    for it in features {
        let (name, level) = name_and_level(it)?;
        asked.insert(name, level);
    }
    let metadata_version = match (asked.remove(METADATA_VERSION), release) {
        (Some(_), Some(_)) => {
            return Err("Use --release-version instead of --feature metadata.version=X to avoid ambiguity.".to_owned());
        }
        (Some(level), None) => known_level(level)?,
        (None, release) => released_level_of(release.unwrap_or(LATEST))?,
    };
    let mut names: Vec<&Feature> = FEATURES.iter().collect();
    names.sort_by_key(|it| it.name);
    if let Some(unknown) = asked.keys().find(|name| names.iter().all(|it| it.name != **name)) {
        let all: Vec<&str> = names.iter().map(|it| it.name).collect();
        return Err(format!("Unsupported feature: {unknown}. Supported features are: {}", all.join(", ")));
    }
    let mut levels = vec![(METADATA_VERSION, metadata_version)];
    for feature in names {
        let asked = asked.get(feature.name).copied();
        let level = match feature.name {
            KRAFT_VERSION => kraft_level(asked, is_dynamic)?,
            _ => asked.unwrap_or_else(|| feature.default_level(metadata_version)),
        };
        feature.check(level, metadata_version)?;
        levels.push((feature.name, level));
    }
    Ok(levels)
}

/// The level of a release that clusters can be formatted with.
fn released_level_of(version: &str) -> Result<i16, String> {
    match level_of(version) {
        Ok(level) if level <= FIRST_LEVEL + released() as i16 => Ok(level),
        _ => Err(unknown(version, &RELEASES[..=released()])),
    }
}

fn known_level(level: i16) -> Result<i16, String> {
    let last = FIRST_LEVEL + RELEASES.len() as i16 - 1;
    let name = release(level).ok_or_else(|| {
        format!("No MetadataVersion with feature level {level}. Valid feature levels are from {FIRST_LEVEL} to {last}.")
    })?;
    match level <= FIRST_LEVEL + released() as i16 {
        true => Ok(level),
        false => Err(format!("{METADATA_VERSION} {name} is not yet stable.")),
    }
}

/// The level of kraft.version, which the voters decide.
fn kraft_level(asked: Option<i16>, is_dynamic: bool) -> Result<i16, String> {
    const FLAGS: &str = "controller.quorum.voters is empty and one of the flags --standalone, --initial-controllers, or \
                         --no-initial-controllers is used.";
    match (asked, is_dynamic) {
        (None, _) => Ok(i16::from(is_dynamic)),
        (Some(0), true) => Err(format!(
            "Cannot set kraft.version to 0 if {FLAGS} For dynamic controllers support, try removing the --feature flag for \
             kraft.version."
        )),
        (Some(level), false) if level != 0 => Err(format!(
            "Cannot set kraft.version to {level} unless {FLAGS} For dynamic controllers support, try using one of --standalone, \
             --initial-controllers, or --no-initial-controllers and removing controller.quorum.voters."
        )),
        (Some(level), _) => Ok(level),
    }
}

fn unknown(version: &str, supported: &[&str]) -> String {
    format!("Unknown metadata.version '{version}'. Supported metadata.version are: {}", supported.join(", "))
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
        feature.expect(level)?;
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
    fn a_cluster_begins_with_the_levels_that_kafka_would_give_it() {
        let levels = |release: Option<&str>, features: &[&str], is_dynamic| {
            let features: Vec<String> = features.iter().map(|it| (*it).to_owned()).collect();
            let levels = initial_levels(release, &features, is_dynamic)?;
            Ok::<_, String>(
                levels.into_iter().map(|(name, level)| format!("{name}={level}")).collect::<Vec<_>>().join(" "),
            )
        };
        assert_eq!(
            levels(None, &[], true).unwrap(),
            "metadata.version=30 eligible.leader.replicas.version=1 group.version=1 kraft.version=1 share.version=1 \
             streams.version=1 transaction.version=2"
        );
        assert_eq!(
            levels(Some("3.9"), &["group.version=1", "transaction.version = 0"], false).unwrap(),
            "metadata.version=21 eligible.leader.replicas.version=0 group.version=1 kraft.version=0 share.version=0 \
             streams.version=0 transaction.version=0"
        );
        assert_eq!(levels(None, &["metadata.version=25"], true), levels(Some("4.0.1"), &[], true));
        for (release, feature, is_dynamic, why) in [
            (
                Some("4.4-IV0"),
                None,
                true,
                "Unknown metadata.version '4.4-IV0'. Supported metadata.version are: 3.3-IV3, ",
            ),
            (Some("nope"), None, true, "Unknown metadata.version 'nope'. Supported metadata.version are: 3.3-IV3, "),
            (
                Some("4.0"),
                Some("metadata.version=25"),
                true,
                "Use --release-version instead of --feature metadata.version=X",
            ),
            (None, Some("metadata.version=31"), true, "metadata.version 4.4-IV0 is not yet stable."),
            (
                None,
                Some("metadata.version=99"),
                true,
                "No MetadataVersion with feature level 99. Valid feature levels are from 7",
            ),
            (
                None,
                Some("a.b=1"),
                true,
                "Unsupported feature: a.b. Supported features are: eligible.leader.replicas.version, ",
            ),
            (None, Some("group.version=2"), true, "No feature:group.version with feature level 2"),
            (
                Some("3.9"),
                Some("eligible.leader.replicas.version=1"),
                true,
                "eligible.leader.replicas.version could not be set to 1 because it depends on metadata.version level 23",
            ),
            (None, Some("kraft.version=0"), true, "Cannot set kraft.version to 0 if controller.quorum.voters is empty"),
            (
                None,
                Some("kraft.version=1"),
                false,
                "Cannot set kraft.version to 1 unless controller.quorum.voters is empty",
            ),
            (
                None,
                Some("group.version"),
                true,
                "Can't parse feature=level string group.version: equals sign not found.",
            ),
        ] {
            let error = levels(release, feature.as_slice(), is_dynamic).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
        let error = levels(Some("5"), &[], true).unwrap_err();
        assert!(error.ends_with(", 4.2-IV1, 4.3-IV0"), "{error}");
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
