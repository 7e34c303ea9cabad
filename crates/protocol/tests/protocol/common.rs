//! What the tests of messages share.

use bytes::Bytes;
use protocol::records::Records;
use protocol::walker::{Tags, Walked, Walker};
use protocol::{ProtocolError, Str, Uuid};

/// SplitMix64.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Any bits, with the values that break things more often than chance has them.
    fn bits(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => u64::MAX,
            2 => self.next() & 0xff,
            _ => self.next(),
        }
    }

    pub(crate) fn bytes(&mut self, limit: usize) -> Bytes {
        let length = self.below(limit);
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// Fills a message with values that its version can carry: the walk from the other side.
pub(crate) struct Filler {
    pub(crate) random: Random,
    /// Some messages need byte fields large enough to be shared, not copied.
    pub(crate) blob_limit: usize,
}

impl Filler {
    pub(crate) fn new(seed: u64) -> Filler {
        Filler { random: Random(seed), blob_limit: 20 }
    }

    fn null(&mut self, nullable: bool) -> bool {
        nullable && self.random.below(4) == 0
    }

    fn text(&mut self) -> Str {
        const WORDS: [&str; 6] =
            ["", "orders", "größe", "日本", "__consumer_offsets", "a-rather-long-name-of-a-topic-or-so"];
        let mut text = WORDS[self.random.below(WORDS.len())].to_owned();
        if self.random.below(2) == 0 {
            text += &self.random.below(1000).to_string();
        }
        if self.random.below(50) == 0 {
            text = text.repeat(40);
        }
        Str::from(text)
    }
}

macro_rules! number {
    ($($type:ident),*) => {$(
        fn $type(&mut self, _name: &'static str, value: &mut $type) -> Walked {
            *value = self.random.bits() as $type;
            Ok(())
        }
    )*};
}

impl Walker for Filler {
    fn reads(&self) -> bool {
        true
    }

    fn begin_message(&mut self, _name: &'static str, _flexible: bool) {}

    fn set_flexible(&mut self, _flexible: bool) {}

    number!(i8, i16, u16, i32, u32, i64);

    fn bool(&mut self, _name: &'static str, value: &mut bool) -> Walked {
        *value = self.random.below(2) == 0;
        Ok(())
    }

    fn f64(&mut self, _name: &'static str, value: &mut f64) -> Walked {
        *value = self.random.next() as f64 / 3.0 - 1e18;
        Ok(())
    }

    fn uuid(&mut self, _name: &'static str, value: &mut Uuid) -> Walked {
        value.0[..8].copy_from_slice(&self.random.next().to_be_bytes());
        value.0[8..].copy_from_slice(&self.random.next().to_be_bytes());
        Ok(())
    }

    fn string(&mut self, _name: &'static str, value: &mut Str) -> Walked {
        *value = self.text();
        Ok(())
    }

    fn nullable_string(&mut self, _name: &'static str, value: &mut Option<Str>, nullable: bool) -> Walked {
        *value = if self.null(nullable) { None } else { Some(self.text()) };
        Ok(())
    }

    fn bytes(&mut self, _name: &'static str, value: &mut Bytes) -> Walked {
        *value = self.random.bytes(self.blob_limit);
        Ok(())
    }

    fn nullable_bytes(&mut self, _name: &'static str, value: &mut Option<Bytes>, nullable: bool) -> Walked {
        *value = if self.null(nullable) { None } else { Some(self.random.bytes(self.blob_limit)) };
        Ok(())
    }

    fn records(&mut self, _name: &'static str, value: &mut Option<Records>, nullable: bool) -> Walked {
        *value = if self.null(nullable) { None } else { Some(Records::Bytes(self.random.bytes(self.blob_limit))) };
        Ok(())
    }

    fn begin_array(
        &mut self,
        _name: &'static str,
        _count: Option<usize>,
        nullable: bool,
        _element_size: usize,
    ) -> Result<Option<usize>, ProtocolError> {
        Ok(if self.null(nullable) { None } else { Some(self.random.below(4)) })
    }

    fn end_array(&mut self) {}

    fn begin_struct(&mut self, _name: &'static str) {}

    fn end_struct(&mut self) {}

    fn presence(&mut self, _name: &'static str, _present: bool, nullable: bool) -> Result<bool, ProtocolError> {
        Ok(!self.null(nullable))
    }

    fn begin_tags(&mut self, _present: u32) -> Result<Tags, ProtocolError> {
        Ok(Tags { left: self.random.next() as u32, ..Tags::default() })
    }

    fn next_tag(&mut self, tags: &mut Tags, known: u32) -> Result<Option<u32>, ProtocolError> {
        let left = tags.left & known;
        tags.left = left & left.wrapping_sub(1);
        Ok((left != 0).then(|| left.trailing_zeros()))
    }
}
