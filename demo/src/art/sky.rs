//! The sky: its colours, sun, moon, stars, clouds and birds; and the weather in front of everything.

use std::f64::consts::{PI, TAU};
use std::fmt::Write;

use super::colour::rgb;
use super::paint::{Fill, Point, curve, ellipse, num, rect};
use super::stage::Stage;
use crate::text::lexicon::{Time, Weather};

/// Paints the sky down to the horizon.
pub fn sky(stage: &mut Stage, horizon: f64) {
    let (w, pal, light) = (stage.w(), stage.pal(), stage.light);
    let veins = stage.noise("sky");
    let shade = move |x: f64, y: f64| {
        let height = 1.0 - y / horizon;
        let near_light = (-((x - light.0).hypot(y - light.1) / 150.0).powi(2)).exp();
        let vein = veins.warped(x / 210.0, y / 70.0, 4);
        (0.34 * height.powf(1.4) + (vein - 0.5) * 0.5) * (1.0 - near_light)
    };
    let middle = horizon * 0.55;
    stage.p.area(&rect(0.0, 0.0, w, middle + 1.0), Fill::Down(pal.sky[0], pal.sky[1]), 0.0, shade);
    stage.p.area(
        &rect(0.0, middle, w, horizon - middle + 4.0),
        Fill::Down(pal.sky[1], pal.sky[2]),
        0.0,
        shade,
    );
    if pal.night && stage.weather.is_none() {
        stars(stage, horizon);
    }
    light_disc(stage);
    if stage.weather.is_none() || stage.weather == Some(Weather::Snow) {
        clouds(stage, horizon);
    }
    if !pal.night && stage.weather.is_none() {
        birds(stage, horizon);
    }
}

fn light_disc(stage: &mut Stage) {
    let (pal, at) = (stage.pal(), stage.light);
    if stage.weather == Some(Weather::Rain) {
        return;
    }
    let radius = if pal.night { 30.0 } else { 36.0 };
    stage.p.glow(at, radius * 5.5, pal.sun, if pal.night { 0.4 } else { 0.75 });
    if stage.time == Time::Day {
        rays(stage, at, radius);
    }
    stage.p.disc(at, radius, pal.sun, 0.0, |_, _| 0.0);
    if pal.night {
        for (dx, dy, r) in
            [(-9.0, -7.0, 7.0), (8.0, 5.0, 9.0), (-4.0, 13.0, 4.0), (12.0, -12.0, 3.5)]
        {
            stage.p.disc((at.0 + dx, at.1 + dy), r, pal.sun.mix(pal.sky[2], 0.22), 0.0, |_, _| 0.0);
        }
    }
}

fn rays(stage: &mut Stage, (x, y): Point, radius: f64) {
    let colour = stage.pal().sun;
    for step in 0..16 {
        let angle = f64::from(step) / 16.0 * TAU + 0.1;
        let (from, to) = (radius + 9.0, radius + if step % 2 == 0 { 27.0 } else { 18.0 });
        let point = |r: f64| (x + r * angle.cos(), y + r * angle.sin());
        stage.p.line(&[point(from), point(to)], colour, 3.2);
    }
}

fn stars(stage: &mut Stage, horizon: f64) {
    let count = (stage.w() * horizon / 2600.0) as usize;
    let mut svg = String::new();
    for _ in 0..count {
        let (x, y) = (stage.rng.between(0.0, stage.w()), stage.rng.between(0.0, horizon * 0.92));
        let r = stage.rng.between(0.7, 2.2);
        if r > 1.95 {
            // The brightest have four points.
            let (l, s) = (r * 3.6, r * 0.7);
            let _ = write!(
                svg,
                r#"<path d="M{x:.1} {:.1}l{s:.1} {q:.1} {q:.1} {s:.1} -{q:.1} {s:.1} -{s:.1} {q:.1} -{s:.1} -{q:.1} -{q:.1} -{s:.1} {q:.1} -{s:.1}Z"/>"#,
                y - l,
                q = l - s,
            );
        } else {
            let _ = write!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="{r:.1}"/>"#);
        }
    }
    let colour = stage.pal().sun.light(0.3);
    stage.p.raw(&format!(r#"<g fill="{colour}">{svg}</g>"#));
}

fn clouds(stage: &mut Stage, horizon: f64) {
    let colour = stage.pal().cloud;
    let count = 2 + stage.rng.below(2) + (stage.w() / 500.0) as usize;
    for at in 0..count {
        let x = (at as f64 + stage.rng.between(0.15, 0.85)) / count as f64 * stage.w();
        let y = stage.rng.between(horizon * 0.18, horizon * 0.72);
        let size = stage.rng.between(0.6, 1.25) * (0.55 + 0.6 * (1.0 - y / horizon));
        cloud(stage, (x, y), size, colour);
    }
}

/// A cloud with a flat bottom: the outline of a row of bumps.
fn cloud(stage: &mut Stage, (x, y): Point, size: f64, colour: super::colour::Rgb) {
    let bumps = 4 + stage.rng.below(3);
    let width = bumps as f64 * 34.0 * size;
    let centres: Vec<(f64, f64, f64)> = (0..bumps)
        .map(|bump| {
            let middle = (bump as f64 + 0.5) / bumps as f64;
            let lift = (middle * PI).sin() * 20.0 * size * stage.rng.between(0.7, 1.2);
            (x - width / 2.0 + middle * width, y - lift, width / bumps as f64 * 0.78)
        })
        .collect();
    // The outline is the highest bump above each spot.
    let top = |px: f64| {
        let over = centres.iter().filter(|(cx, _, r)| (px - cx).abs() < *r);
        over.map(|(cx, cy, r)| cy - (r * r - (px - cx).powi(2)).sqrt() * 0.9).fold(y, f64::min)
    };
    let steps = (width * 1.2 / 3.0) as usize;
    let mut points: Vec<Point> = (0..=steps)
        .map(|step| x - width * 0.6 + step as f64 / steps as f64 * width * 1.2)
        .map(|px| (px, top(px)))
        .collect();
    let base = y + 6.0 * size;
    points.extend(curve((x + width * 0.6, y), (x, base + 3.0 * size), (x - width * 0.6, y), 8));
    stage
        .p
        .area(&points, colour, 0.0, move |_, py| ((py - y) / (60.0 * size) + 0.32).max(0.0) * 0.55);
}

fn birds(stage: &mut Stage, horizon: f64) {
    let ink = stage.pal().ink.mix(stage.pal().sky[1], 0.25);
    let (x, y) = (stage.w() - stage.light.0, horizon * stage.rng.between(0.3, 0.6));
    for _ in 0..stage.rng.below(4) + 2 {
        let (x, y) = (x + stage.rng.between(-70.0, 70.0), y + stage.rng.between(-30.0, 30.0));
        let span = stage.rng.between(6.0, 12.0);
        let points = [
            (x - span, y - span * 0.35),
            (x - span * 0.4, y - span * 0.5),
            (x, y),
            (x + span * 0.5, y - span * 0.55),
            (x + span, y - span * 0.2),
        ];
        stage.p.line(&points, ink, 2.0);
    }
}

/// Fog that lies over the backdrop, before the people are put in front of it.
pub fn haze(stage: &mut Stage) {
    if stage.weather != Some(Weather::Fog) {
        return;
    }
    let (w, h) = (stage.w(), stage.h());
    let colour = stage.pal().sky[1].mix(stage.pal().cloud, 0.5).light(0.08);
    let noise = stage.noise("fog");
    for band in 0..6 {
        let y = h * (0.3 + 0.1 * f64::from(band));
        let mut points: Vec<Point> = (0..=(w / 12.0) as usize + 1)
            .map(|step| step as f64 * 12.0)
            .map(|x| (x, y - 46.0 * noise.fractal(x / 170.0, f64::from(band) * 3.0, 3)))
            .collect();
        points.extend((0..=(w / 12.0) as usize + 1).rev().map(|step| step as f64 * 12.0).map(
            |x| (x, y + 10.0 + 40.0 * noise.fractal(x / 150.0, f64::from(band) * 3.0 + 1.5, 3)),
        ));
        let d = super::paint::path(&points, true);
        stage.p.raw(&format!(r#"<path d="{d}" fill="{colour}" opacity="0.34"/>"#));
    }
    stage.p.fade(move |x, y| {
        0.25 + 0.75 * (noise.fractal(x / 170.0, y / 60.0, 3) - 0.2).clamp(0.0, 1.0)
    });
}

/// Rain or snow, as SVG to lie over everything.
pub fn falling(stage: &mut Stage) -> String {
    let (w, h) = (stage.w(), stage.h());
    let mut svg = String::new();
    match stage.weather {
        Some(Weather::Rain) => {
            for _ in 0..(w * h / 2400.0) as usize {
                let (x, y) = (stage.rng.between(-20.0, w), stage.rng.between(-20.0, h));
                let length = stage.rng.between(14.0, 34.0);
                let _ =
                    write!(svg, "M{} {}l{} {}", num(x), num(y), num(length * 0.32), num(length));
            }
            format!(
                r#"<path d="{svg}" stroke="{}" stroke-width="1.6" stroke-linecap="round" opacity="0.55" fill="none"/>"#,
                rgb(0xe4_f0_f8)
            )
        }
        Some(Weather::Snow) => {
            for _ in 0..(w * h / 2300.0) as usize {
                let (x, y) = (stage.rng.between(0.0, w), stage.rng.between(0.0, h));
                let _ = write!(
                    svg,
                    r#"<circle cx="{}" cy="{}" r="{}"/>"#,
                    num(x),
                    num(y),
                    num(stage.rng.between(1.0, 3.6))
                );
            }
            format!(r##"<g fill="#fff" opacity="0.9">{svg}</g>"##)
        }
        Some(Weather::Fog) => format!(
            r#"<path d="{}" fill="{}" opacity="0.3"/>"#,
            super::paint::path(&ellipse((w / 2.0, h), w * 0.7, h * 0.2), true),
            stage.pal().cloud.light(0.1)
        ),
        None => String::new(),
    }
}
