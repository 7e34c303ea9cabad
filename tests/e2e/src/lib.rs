//! The served lab in a real Chromium.
