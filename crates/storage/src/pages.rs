//! The content of a file in memory. Its pages are shared between clones, and copied when one of them writes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// Bytes of a page.
pub(crate) const PAGE: usize = 16 << 10;

/// Bytes, page by page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) pages: Vec<Arc<Vec<u8>>>,
    pub(crate) len: usize,
}

impl Content {
    /// Cuts it, or fills it up with zeros.
    pub(crate) fn set_len(&mut self, len: usize) {
        let pages = len.div_ceil(PAGE);
        // All pages but the last are full, so only the one that was last and new ones change.
        let first = self.pages.len().min(pages).saturating_sub(1);
        self.pages.truncate(pages);
        for index in first..pages {
            let size = (len - index * PAGE).min(PAGE);
            match self.pages.get_mut(index) {
                Some(page) if page.len() == size => {}
                Some(page) => grow(Arc::make_mut(page), size),
                None => {
                    let mut page = Vec::new();
                    grow(&mut page, size);
                    self.pages.push(Arc::new(page));
                }
            }
        }
        self.len = len;
    }

    /// Writes within its length.
    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        let (mut at, mut bytes) = (at, bytes);
        while !bytes.is_empty() {
            let inside = at % PAGE;
            let (now, later) = bytes.split_at(bytes.len().min(PAGE - inside));
            Arc::make_mut(&mut self.pages[at / PAGE])[inside..inside + now.len()].copy_from_slice(now);
            at += now.len();
            bytes = later;
        }
    }

    /// At most so many bytes from a place on.
    pub(crate) fn read(&self, at: usize, len: usize) -> Bytes {
        let end = at.saturating_add(len).min(self.len);
        let mut at = at.min(end);
        let mut out = BytesMut::with_capacity(end - at);
        while at < end {
            let inside = at % PAGE;
            let count = (end - at).min(PAGE - inside);
            out.extend_from_slice(&self.pages[at / PAGE][inside..inside + count]);
            at += count;
        }
        out.freeze()
    }
}

/// A page that has begun to fill will be full soon: it is moved once, not each time that it has doubled.
fn grow(page: &mut Vec<u8>, size: usize) {
    if size > page.capacity() && size > PAGE / 16 {
        page.reserve_exact(PAGE.saturating_sub(page.len()));
    }
    page.resize(size, 0);
}
