//! Things in hands, drawn around the point where the hand is, in a figure's own units (100 is an adult's height).

use super::paint::num;
use crate::text::lexicon::Prop;

/// A thing, held at a point.
pub fn held(prop: Prop, x: f64, y: f64, ink: &str) -> String {
    let body = match prop {
        Prop::Lantern => concat!(
            r##"<circle cx="0" cy="11" r="22" fill="#ffd36b" opacity="0.28" stroke="none"/>"##,
            r##"<path d="M0 0v3M-4 3h8l2 3v11l-2 3h-8l-2-3V6Z" fill="#ffe9a0"/>"##,
            r##"<path d="M-6 6h12M-6 17h12" fill="none"/><path d="M0 14q-3-3 0-7q3 4 0 7Z" fill="#f0862e" stroke="none"/>"##
        ),
        Prop::Paper => concat!(
            r##"<path d="M-7 -13l14-2l2 17l-14 2Z" fill="#fff3c4"/>"##,
            r##"<path d="M-4 -9l9-1.3M-3.6 -5.5l9-1.3M-3.2 -2l6-.9" fill="none" stroke-width=".9"/>"##
        ),
        Prop::Bread => concat!(
            r##"<path d="M-10 -1q-2-8 8-9q12-1 13 5q0 5-8 5Z" fill="#d8984e"/>"##,
            r##"<path d="M-4 -3l3-4M1 -3l3-4M6 -3l2-3" fill="none" stroke="#f6dca8"/>"##
        ),
        Prop::Book => concat!(
            r##"<path d="M-9 -9q5-3 9 0q5-3 9 0v12q-5-3-9 0q-4-3-9 0Z" fill="#fbf3dc"/>"##,
            r##"<path d="M0 -9v12" fill="none"/><path d="M-10 -8v12q6-3 10 0q5-3 10 0v-12" fill="none" stroke="#a8443e"/>"##
        ),
        Prop::Cup => concat!(
            r##"<path d="M-6 -8h11l-1 10h-9Z" fill="#f6f0e2"/><path d="M5 -6q5 0 4 3q-1 3-5 3" fill="none"/>"##,
            r##"<path d="M-3 -11q-2-3 0-5M1 -11q-2-3 0-6" fill="none" stroke="#fff" opacity=".8"/>"##
        ),
        Prop::Key => concat!(
            r##"<path d="M0 -3v-24M0 -27h5v4h-5M0 -21h4" fill="none" stroke-width="2.4"/>"##,
            r##"<circle cx="0" cy="1" r="4" fill="#d8b45a"/>"##
        ),
        Prop::Bell => {
            r##"<path d="M0 9V-160" fill="none" stroke-width="2.6" stroke="#c8a468"/><path d="M-2 9h4l2 9h-8Z" fill="#c8a468"/>"##
        }
        Prop::Watch => concat!(
            r##"<path d="M0 0v5" fill="none"/><circle cx="0" cy="10" r="5.4" fill="#f6e6b0"/>"##,
            r##"<path d="M0 10v-3.4M0 10l2.6 1" fill="none" stroke-width="1"/>"##
        ),
        Prop::Pencil => r##"<path d="M-2 5l10-15l3 2l-10 15l-4 2Z" fill="#f0b43c"/>"##,
    };
    format!(
        r#"<g transform="translate({} {})" stroke="{ink}" stroke-width="1.2" stroke-linejoin="round" stroke-linecap="round">{body}</g>"#,
        num(x),
        num(y)
    )
}
