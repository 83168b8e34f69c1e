//! Drawing. A panel is a pure function of its prompt and the cast: same input, same bytes.
//!
//! `rng` and `noise` are the sources of variety, both seeded by the text; `colour` has the palettes; `paint` lays areas
//! of colour and remembers how dark each should be; `stipple` turns that into ink dots (weighted Voronoi, relaxed by
//! Lloyd's method). `stage`, `sky`, `sea`, `town`, `wild` and `room` build the places; `look` and `figure` the people,
//! `animal` and `prop` the rest; `lettering` and `balloon` write by hand; `panel` composes it all, and `comic` binds the
//! book.

pub mod animal;
pub mod balloon;
pub mod colour;
pub mod comic;
pub mod figure;
pub mod lettering;
pub mod look;
pub mod noise;
pub mod paint;
pub mod panel;
pub mod prop;
pub mod rng;
pub mod room;
pub mod sea;
pub mod sky;
pub mod stage;
pub mod stipple;
pub mod town;
pub mod wild;
