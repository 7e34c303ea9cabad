//! Times and durations as the tool takes them.

const MS_A_DAY: i64 = 86_400_000;
const NANOS_A_SECOND: i128 = 1_000_000_000;

/// `2026-11-21T10:00:00.000`, in UTC or with a zone (`Z`, `+01`, `+01:00`), as milliseconds since 1970. The error is Java's.
pub(super) fn datetime(text: &str) -> Result<i64, String> {
    let Some((_, time)) = text.split_once('T') else {
        return Err(
            "java.text.ParseException: Error parsing timestamp. It does not contain a 'T' according to ISO8601 \
                    format"
                .to_owned(),
        );
    };
    let has_zone = time.contains(['+', '-', 'Z']);
    let whole = if has_zone { text.to_owned() } else { format!("{text}Z") };
    parse(&whole).ok_or_else(|| format!("java.text.ParseException: Unparseable date: \"{whole}\""))
}

fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let zone_at = time.find(['+', '-', 'Z'])?;
    let (time, zone) = time.split_at(zone_at);
    let (time, millis) = time.split_once('.')?;
    let mut time = time.splitn(3, ':').map(number);
    let (hour, minute, second, milli) = (time.next()??, time.next()??, time.next()??, number(millis)?);
    let is_there = (1..=12).contains(&month) && (1..=length(year, month)).contains(&day);
    if !is_there || hour > 23 || minute > 59 || second > 59 || milli > 999 || year > 9999 {
        return None;
    }
    let of_day = ((hour * 60 + minute) * 60 + second) * 1000 + milli;
    Some(days(year, month, day) * MS_A_DAY + of_day - zone_ms(zone)?)
}

/// Digits and nothing else.
fn number(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn length(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970 in the Gregorian calendar. A year begins in March here, so that the odd day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468
}

fn zone_ms(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.get(1..)?.split_once(':').unwrap_or((zone.get(1..)?, "0"));
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
}

/// `now` less a duration of ISO 8601 (`PnDTnHnMn.nS`, each part with a sign if need be).
pub(super) fn before(now_ms: i64, text: &str) -> Result<i64, String> {
    let nanos = nanos(text).ok_or("Text cannot be parsed to a Duration")?;
    let at = (i128::from(now_ms) * 1_000_000 - nanos).div_euclid(1_000_000);
    i64::try_from(at).map_err(|_| "long overflow".to_owned())
}

fn nanos(text: &str) -> Option<i128> {
    let text = text.to_ascii_uppercase();
    let (sign, text) = signed(&text);
    let text = text.strip_prefix('P')?;
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let mut rest = date;
    let days = part(&mut rest, 'D')?;
    if !rest.is_empty() || (date.is_empty() && time.is_none()) || time == Some("") {
        return None;
    }
    let mut rest = time.unwrap_or_default();
    let (hours, minutes, seconds) = (part(&mut rest, 'H')?, part(&mut rest, 'M')?, part(&mut rest, 'S')?);
    rest.is_empty().then_some(sign * (days * 86_400 + hours * 3600 + minutes * 60 + seconds))
}

fn signed(text: &str) -> (i128, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// What comes before the letter, in billionths; nothing if the letter is not there. Only seconds have a fraction.
fn part(rest: &mut &str, letter: char) -> Option<i128> {
    let Some((text, after)) = rest.split_once(letter) else { return Some(0) };
    *rest = after;
    let (sign, text) = signed(text);
    let (whole, fraction) = match (letter, text.split_once(['.', ','])) {
        ('S', Some((whole, fraction))) => (whole, fraction),
        _ => (text, ""),
    };
    if fraction.len() > 9 || !fraction.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let fraction: i128 = format!("{fraction:0<9}").parse().ok()?;
    Some(sign * (i128::from(number(whole)?) * NANOS_A_SECOND + fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_that_java_reads() {
        assert_eq!(datetime("1970-01-01T00:00:00.000"), Ok(0));
        assert_eq!(datetime("2026-11-21T19:00:21.123Z"), Ok(1_795_287_621_123));
        assert_eq!(datetime("2026-11-21T19:00:21.123+01:30"), Ok(1_795_287_621_123 - 5_400_000));
        assert_eq!(datetime("2026-11-21T19:00:21.123-02"), Ok(1_795_287_621_123 + 7_200_000));
        assert_eq!(datetime("2000-02-29T00:00:00.000"), Ok(951_782_400_000));
        assert_eq!(datetime("1969-12-31T23:59:59.999"), Ok(-1));
        for text in ["2026-02-29T00:00:00.000", "2026-01-01T24:00:00.000", "2026-01-01T00:00:00", "2026-1T0:0:0.0"] {
            let why = datetime(text).unwrap_err();
            assert_eq!(why, format!("java.text.ParseException: Unparseable date: \"{text}Z\""));
        }
        assert!(datetime("2026-01-01").unwrap_err().contains("It does not contain a 'T'"));
    }

    #[test]
    fn durations_are_those_that_java_reads() {
        let second = |text: &str| before(0, text).map(|at| -at);
        assert_eq!(second("P1DT2H3M4.5S"), Ok(93_784_500));
        assert_eq!(second("PT-6H3M"), Ok(-21_420_000));
        assert_eq!(second("-PT1.001s"), Ok(-1001));
        assert_eq!(before(1_000, "pt0.0001S"), Ok(999), "a part of a millisecond is one, as Java rounds");
        for text in ["", "P", "PT", "P1", "1D", "P1H", "PT1D", "PT1M1H", "P1DT", "PT1.5M", "PT1.0000000001S", "PTS"] {
            assert_eq!(before(0, text), Err("Text cannot be parsed to a Duration".to_owned()), "{text}");
        }
    }
}
