//! Feature levels: what a new cluster starts with, and how they change.

use ordered::Set;

use protocol::messages::update_features_request::FeatureUpdateKey;
use protocol::messages::update_features_response::UpdatableFeatureResult;
use protocol::messages::{
    ErrorCode, FeatureLevelRecord, MetadataRecord, NoOpRecord, ResponseBody, UpdateFeaturesRequest,
    UpdateFeaturesResponse,
};
use protocol::{Str, support};
use quorum::Quorum;

use super::{Controller, Outcome};
use crate::config::Config;
use crate::image::Resource;
use crate::refusal::{Refusal, message};

/// Voters as records (KIP-853). Its level is in the quorum's own records.
use quorum::KRAFT_VERSION;
/// The format of the metadata log (KIP-778).
pub(super) use quorum::METADATA_VERSION;
/// Eligible leader replicas (KIP-966).
pub(super) const ELR: &str = "eligible.leader.replicas.version";
/// The metadata.version since which a smaller ISR is no new leader epoch (3.6-IV0).
pub(super) const NO_BUMP_ON_SHRINK_SINCE: i16 = 12;
/// The metadata.version since which replicas' directories are noted (3.7-IV2).
pub(super) const DIRECTORIES_SINCE: i16 = 17;
/// The metadata.version since which there can be eligible leader replicas (4.0-IV1).
const ELR_SINCE: i16 = 23;
/// The levels of metadata.version at which kinds or fields of records were new, so that no way leads back.
const CHANGED_METADATA: [i16; 9] = [7, 8, 11, 13, 14, 15, 17, 23, 30];
/// `FeatureUpdateKey.UpgradeType`.
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

/// The levels of a new cluster, as Apache Kafka formats one: metadata.version first, for who reads the log must know it
/// before anything else, then the others in order of name.
pub fn initial() -> Vec<MetadataRecord> {
    let mut levels: Vec<(&str, i16)> = support::kafka_finalized_features().to_vec();
    levels.retain(|(name, level)| *name != KRAFT_VERSION && *level > 0);
    ordered::sort_by_key(&mut levels, |(name, _)| (*name != METADATA_VERSION, *name));
    let record = |(name, feature_level)| FeatureLevelRecord { name: Str::from_static(name), feature_level }.into();
    levels.into_iter().map(record).collect()
}

/// True if the records turn eligible leader replicas on.
pub(super) fn has_elr(records: &[MetadataRecord]) -> bool {
    let is_elr =
        |it: &MetadataRecord| matches!(it, MetadataRecord::FeatureLevel(it) if it.name == ELR && it.feature_level > 0);
    records.iter().any(is_elr)
}

/// What comes of one feature's update.
enum Change {
    Nothing,
    Level(FeatureLevelRecord),
    /// Of `kraft.version`: whether the level is another.
    Quorum(bool),
}

impl Controller {
    /// UpdateFeatures, versions 0 to 2 (KIP-584, KIP-778): levels that every broker and controller can run. True if the
    /// quorum's voters are to become the log's own with it.
    pub fn decide_update_features(
        &self,
        config: &Config,
        quorum: &Quorum,
        version: i16,
        request: &UpdateFeaturesRequest,
    ) -> (Outcome, bool) {
        let mut is_upgrade = false;
        let mut reply = UpdateFeaturesResponse { error_message: None, ..UpdateFeaturesResponse::default() };
        let mut records = Vec::new();
        let mut seen = Set::new();
        for asked in &request.feature_updates {
            let checked = if seen.insert(asked.feature.clone()) {
                self.update_feature(version, asked, request, quorum)
            } else {
                Err(Refusal::new(ErrorCode::InvalidRequest, "Each feature must appear at most once."))
            };
            match checked {
                Ok(Change::Nothing) => {}
                Ok(Change::Quorum(is_change)) => {
                    is_upgrade |= is_change;
                    // The quorum's own records are nobody's to wait for; so Kafka adds one that says nothing.
                    records.push(NoOpRecord::default().into());
                }
                Ok(Change::Level(record)) => {
                    if asked.feature == ELR && record.feature_level > 0 && self.image().feature(ELR) == 0 {
                        records.extend(self.shared_min_isr(config));
                    }
                    records.push(record.into());
                }
                Err(refusal) => {
                    // Nothing of it is done.
                    records.clear();
                    is_upgrade = false;
                    reply.error_code = refusal.code.code();
                    let why = "The update failed for all features since the following feature had an error";
                    reply.error_message = Some(message(format!("{why}: {}", refusal.message)));
                    break;
                }
            }
        }
        if version < 2 && reply.error_code == ErrorCode::None.code() {
            let result = |it: &FeatureUpdateKey| UpdatableFeatureResult {
                feature: it.feature.clone(),
                error_message: Some(Str::from_static("NONE")),
                ..UpdatableFeatureResult::default()
            };
            reply.results = request.feature_updates.iter().map(result).collect();
        }
        if request.validate_only {
            records.clear();
            is_upgrade = false;
        }
        (Outcome { records, reply: ResponseBody::UpdateFeatures(reply) }, is_upgrade)
    }

    fn update_feature(
        &self,
        version: i16,
        asked: &FeatureUpdateKey,
        request: &UpdateFeaturesRequest,
        quorum: &Quorum,
    ) -> Result<Change, Refusal> {
        let (name, level) = (&asked.feature, asked.max_version_level);
        let invalid = |why: String| {
            let what = format!("Invalid update version {level} for feature {name}. {why}");
            Err(Refusal::new(ErrorCode::InvalidUpdateVersion, what))
        };
        let upgrade_type = match version {
            0 if asked.allow_downgrade => SAFE_DOWNGRADE,
            0 => UPGRADE,
            _ => asked.upgrade_type,
        };
        if !matches!(upgrade_type, UPGRADE | SAFE_DOWNGRADE | UNSAFE_DOWNGRADE) {
            return invalid("The controller does not support the given upgrade type.".into());
        }
        if level < 0 {
            return invalid("A feature version cannot be less than 0.".into());
        }
        if let Some(why) = self.unsupported(name, level) {
            return invalid(why);
        }
        let present = if name == KRAFT_VERSION { quorum.kraft_version() } else { self.image().feature(name) };
        if level < present && upgrade_type == UPGRADE {
            return invalid(
                "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe \
                 downgrade."
                    .into(),
            );
        }
        if level > present && upgrade_type != UPGRADE {
            return invalid("Can't downgrade to a newer version.".into());
        }
        if name == KRAFT_VERSION {
            if upgrade_type != UPGRADE {
                return match level == present {
                    true => Ok(Change::Nothing),
                    false => invalid("Can't downgrade the version of this feature.".into()),
                };
            }
            let checked = quorum.check_kraft_version(level).map(Change::Quorum);
            return checked.map_err(|why| Refusal::new(ErrorCode::InvalidUpdateVersion, why));
        }
        if name == METADATA_VERSION && level < present {
            // Between such levels a kind of record changed, so going back could lose what those records say.
            if (level + 1..=present).any(|it| CHANGED_METADATA.contains(&it)) {
                let why = if upgrade_type == UNSAFE_DOWNGRADE {
                    "Unsafe metadata downgrade is not supported in this version."
                } else {
                    "Refusing to perform the requested downgrade because it might delete metadata information."
                };
                let what = format!("Unsupported metadata.version downgrade from {present} to {level}. {why}");
                return Err(Refusal::new(ErrorCode::InvalidUpdateVersion, what));
            }
        }
        if name == ELR && level > 0 {
            let proposed = request.feature_updates.iter().find(|it| it.feature == *METADATA_VERSION);
            let metadata = proposed.map_or_else(|| self.image().feature(METADATA_VERSION), |it| it.max_version_level);
            if metadata < ELR_SINCE {
                return invalid(format!(
                    "{name} could not be set to {level} because it depends on {METADATA_VERSION} level {ELR_SINCE}"
                ));
            }
        }
        Ok(Change::Level(FeatureLevelRecord { name: name.clone(), feature_level: level }))
    }

    /// With eligible leaders, all brokers must mean the same by the minimum: it becomes the cluster's (KIP-966).
    fn shared_min_isr(&self, config: &Config) -> Vec<MetadataRecord> {
        let key = Str::from_static("min.insync.replicas");
        let all = Resource::all_brokers();
        let mut records = Vec::new();
        if self.image().setting(&all, &key).is_none() {
            let value = config.explicit(&key).cloned().unwrap_or(Str::from_static("1"));
            records.push(super::configs::record(&all, &key, Some(value)));
        }
        for resource in self.image().configured().filter(|it| it.kind == all.kind && **it != all) {
            if self.image().setting(resource, &key).is_some() {
                records.push(super::configs::record(resource, &key, None));
            }
        }
        records
    }

    /// Why not everyone can run a feature at a level.
    fn unsupported(&self, name: &str, level: i16) -> Option<String> {
        let reason = |who: String, range: Option<(i16, i16)>| {
            let (min, max) = range.unwrap_or((0, 0));
            match (min..=max).contains(&level) {
                true => None,
                false if max == 0 => Some(format!("{who} does not support this feature.")),
                false => Some(format!("{who} only supports versions {min}-{max}")),
            }
        };
        let own = support::kafka_features().iter().find(|it| it.name == name);
        reason("Local controller".into(), own.map(|it| (*it.levels.start(), *it.levels.end())))
            .or_else(|| {
                self.image().brokers().find_map(|broker| {
                    reason(format!("Broker {}", broker.id), broker.features.get(name).map(|it| (it.min, it.max)))
                })
            })
            .or_else(|| {
                self.image().controllers().find_map(|it| {
                    reason(format!("Controller {}", it.id), it.features.get(name).map(|it| (it.min, it.max)))
                })
            })
    }
}
