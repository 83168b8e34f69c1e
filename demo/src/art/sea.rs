//! By the water: the open sea from a deck, the harbour, the lighthouse.

use super::colour::Rgb;
use super::paint::{Fill, Point, curve, ellipse, rect};
use super::sky::sky;
use super::stage::Stage;

/// The open sea, seen over a boat's rail. Gives the height at which people stand.
pub fn open_sea(stage: &mut Stage) -> f64 {
    let horizon = stage.h() * 0.47;
    sky(stage, horizon);
    headland(stage, horizon, true);
    water(stage, horizon);
    let (x, y) = (stage.w() * stage.rng.between(0.3, 0.7), horizon + 34.0);
    boat(stage, (x, y), 0.55);
    deck(stage);
    stage.h() * 0.95
}

/// The quay of a small harbour.
pub fn harbour(stage: &mut Stage) -> f64 {
    let (w, h) = (stage.w(), stage.h());
    let horizon = h * 0.45;
    sky(stage, horizon);
    headland(stage, horizon, false);
    water(stage, horizon);
    let breakwater = stage.far(0x7a_74_72, 0.3);
    let side = if stage.light.0 < w / 2.0 { w } else { 0.0 };
    let reach = if side > 0.0 { w * 0.55 } else { w * 0.45 };
    stage.p.area(
        &[
            (side, horizon + 14.0),
            (reach, horizon + 18.0),
            (reach, horizon + 34.0),
            (side, horizon + 40.0),
        ],
        breakwater,
        1.6,
        |x, y| 0.3 + 0.2 * ((x / 14.0).sin() * (y / 7.0).cos()),
    );
    beacon(stage, (reach + if side > 0.0 { 10.0 } else { -10.0 }, horizon + 18.0));
    for at in 0..(w / 260.0).ceil() as usize {
        let x = (at as f64 + stage.rng.between(0.25, 0.75)) * w / (w / 260.0).ceil();
        let depth = stage.rng.between(0.0, 1.0);
        boat(stage, (x, horizon + 70.0 + depth * 50.0), 0.7 + depth * 0.35);
    }
    quay(stage, h * 0.78);
    h * 0.95
}

/// A cliff top with a lighthouse.
pub fn lighthouse(stage: &mut Stage) -> f64 {
    let (w, h) = (stage.w(), stage.h());
    let horizon = h * 0.5;
    sky(stage, horizon);
    water(stage, horizon);
    let right = stage.light.0 < w / 2.0;
    let flip = |x: f64| if right { x } else { w - x };
    let top = h * 0.6;
    let mut cliff = vec![(flip(w * 1.1), h * 1.1), (flip(w * 1.1), top - 24.0)];
    let noise = stage.noise("cliff");
    for step in 0..=40 {
        let t = f64::from(step) / 40.0;
        cliff.push((
            flip(w * (1.05 - 0.75 * t)),
            top - 24.0 + 50.0 * t + 12.0 * noise.fractal(t * 8.0, 0.0, 3),
        ));
    }
    for step in 0..=20 {
        let t = f64::from(step) / 20.0;
        cliff.push((
            flip(w * 0.3 - 40.0 * t + 26.0 * noise.fractal(t * 6.0, 4.0, 3)),
            top + 26.0 + h * 0.5 * t,
        ));
    }
    let rock = stage.lit(0x7c_6f_6a);
    stage.p.area(&cliff, rock, 2.4, move |x, y| {
        0.28 + 0.65 * (noise.warped(x / 40.0, y / 90.0, 4) - 0.4) + (y - top) / 900.0
    });
    let tower = (flip(w * 0.76), top - 6.0);
    lighthouse_tower(stage, tower, h * 0.5 / 250.0);
    let grass = stage.lit(0x6f_8f_55);
    stage.hill("turf", h * 0.8, 16.0, 260.0, grass, 2.4);
    tufts(stage, h * 0.82, 46);
    h * 0.95
}

/// The tower, its foot at a point; scale 1 is 250 high.
pub fn lighthouse_tower(stage: &mut Stage, (x, y): Point, s: f64) {
    let (white, red) = (stage.lit(0xf4_ef_e4), stage.lit(0xc8_43_3c));
    let lamp = stage.pal().lamp;
    let left_lit = stage.light.0 < x;
    let half = move |t: f64| (26.0 - 10.0 * t) * s;
    let shade = move |px: f64, _: f64| {
        let across = (px - x) / (26.0 * s) * if left_lit { 1.0 } else { -1.0 };
        0.06 + (across * 0.5 + 0.4).max(0.0) * 0.6
    };
    for band in 0..5 {
        let (from, to) = (f64::from(band) / 5.0, f64::from(band + 1) / 5.0);
        let (y0, y1) = (y - 190.0 * s * from, y - 190.0 * s * to);
        let points =
            [(x - half(from), y0), (x + half(from), y0), (x + half(to), y1), (x - half(to), y1)];
        stage.p.area(&points, if band % 2 == 0 { white } else { red }, 2.0, shade);
    }
    let top = y - 190.0 * s;
    let iron = stage.lit(0x3e_43_50);
    stage.p.area(&rect(x - 22.0 * s, top - 6.0 * s, 44.0 * s, 7.0 * s), iron, 2.0, |_, _| 0.3);
    if stage.lamps() {
        for (dx, spread) in [(-1.0, 46.0), (1.0, 46.0)] {
            let reach = 620.0 * s * dx;
            let beam = [
                (x, top - 22.0 * s),
                (x + reach, top - (22.0 + spread) * s),
                (x + reach, top + (spread - 26.0) * s),
            ];
            let d = super::paint::path(&beam, true);
            stage.p.raw(&format!(r#"<path d="{d}" fill="{lamp}" opacity="0.22"/>"#));
        }
        stage.p.glow((x, top - 22.0 * s), 95.0 * s, lamp, 0.9);
    }
    stage.p.flat(&rect(x - 13.0 * s, top - 36.0 * s, 26.0 * s, 30.0 * s), lamp, 2.0);
    for dx in [-5.0, 5.0] {
        stage.p.line(&[(x + dx * s, top - 36.0 * s), (x + dx * s, top - 6.0 * s)], iron, 1.6);
    }
    let roof =
        [(x - 17.0 * s, top - 36.0 * s), (x, top - 58.0 * s), (x + 17.0 * s, top - 36.0 * s)];
    stage.p.area(&roof, red, 2.0, shade);
    stage.p.flat(&rect(x - 7.0 * s, y - 30.0 * s, 14.0 * s, 30.0 * s), iron, 1.6);
    for at in [70.0, 130.0] {
        stage.p.flat(&rect(x - 4.0 * s, y - at * s, 8.0 * s, 13.0 * s), iron, 1.4);
    }
}

fn headland(stage: &mut Stage, horizon: f64, tower: bool) {
    let (w, right) = (stage.w(), stage.light.0 < stage.w() / 2.0);
    let colour = stage.far(0x6f_7f_6d, 0.45);
    let noise = stage.noise("headland");
    let mut points = vec![(if right { w } else { 0.0 }, horizon + 4.0)];
    for step in 0..=50 {
        let t = f64::from(step) / 50.0;
        let x = if right { w * (1.0 - 0.5 * t) } else { w * 0.5 * t };
        points.push((
            x,
            horizon + 4.0 - (1.0 - t).powf(0.7) * 56.0 * (0.5 + noise.fractal(t * 6.0, 0.0, 4)),
        ));
    }
    stage.p.area(&points, colour, 1.4, move |x, y| {
        0.15 + 0.5 * (noise.fractal(x / 30.0, y / 30.0, 3) - 0.3)
    });
    if tower {
        let x = if right { w * 0.86 } else { w * 0.14 };
        lighthouse_tower(stage, (x, horizon - 26.0), 0.36);
    }
}

/// Water from the horizon down, with waves that grow towards us and the light's path on them.
pub fn water(stage: &mut Stage, horizon: f64) {
    let (w, h, pal, light) = (stage.w(), stage.h(), stage.pal(), stage.light);
    let swell = stage.noise("swell");
    let near = pal.water.mix(pal.ink, 0.18);
    let fill = Fill::Down(pal.water.mix(pal.sky[2], 0.45), near);
    stage.p.area(&rect(0.0, horizon, w, h - horizon), fill, 0.0, move |x, y| {
        let depth = (y - horizon) / (h - horizon);
        let size = 0.25 + depth;
        let wave = swell.fractal(x / (90.0 * size), (y - horizon) / (9.0 * size), 4);
        let glitter = (-((x - light.0) / (26.0 + 130.0 * depth)).powi(2)).exp();
        (0.1 + 0.34 * depth + (wave - 0.5) * 1.3) * (1.0 - 0.85 * glitter)
    });
    let crest = pal.water.mix(pal.sky[2], 0.7).light(0.25);
    let count = (w * (h - horizon) / 2300.0) as usize;
    for _ in 0..count {
        let depth = stage.rng.unit().powf(1.5);
        let y = horizon + 5.0 + depth * (h - horizon);
        let at_light = stage.rng.chance(0.35);
        let x = if at_light {
            light.0 + stage.rng.between(-1.0, 1.0) * (20.0 + 110.0 * depth)
        } else {
            stage.rng.between(0.0, w)
        };
        let half = (5.0 + 26.0 * depth) * stage.rng.between(0.6, 1.3);
        let colour = if at_light { pal.sun } else { crest };
        stage.p.line(
            &curve((x - half, y), (x, y - half * 0.28), (x + half, y), 6),
            colour,
            1.2 + 1.4 * depth,
        );
    }
}

/// A small boat; scale 1 is about 150 long.
pub fn boat(stage: &mut Stage, (x, y): Point, s: f64) {
    let (white, dark, mast) = (stage.lit(0xf2_ea_da), stage.lit(0x3a_3f_55), stage.lit(0x6b_4a_35));
    let paint = [0xc2_4b_3f, 0x2f_6f_8f, 0x4f_7f_5a, 0xd8_a0_3c];
    let colour = stage.rng.pick(paint);
    let hull = stage.lit(colour);
    stage.p.line(&[(x - 4.0 * s, y - 12.0 * s), (x - 4.0 * s, y - 120.0 * s)], mast, 4.5 * s);
    if stage.rng.chance(0.6) {
        let sail = curve(
            (x + 2.0 * s, y - 114.0 * s),
            (x + 66.0 * s, y - 58.0 * s),
            (x + 54.0 * s, y - 30.0 * s),
            10,
        );
        let sail: Vec<Point> = sail.into_iter().chain([(x + 2.0 * s, y - 30.0 * s)]).collect();
        stage.p.area(&sail, white, 1.8, move |px, py| {
            0.08 + (px - x) / (200.0 * s) + (py - y + 110.0 * s) / (500.0 * s)
        });
    } else {
        stage.p.line(&[(x - 4.0 * s, y - 116.0 * s), (x + 68.0 * s, y - 16.0 * s)], dark, 1.3);
        stage.p.line(&[(x - 4.0 * s, y - 116.0 * s), (x - 70.0 * s, y - 16.0 * s)], dark, 1.3);
        stage
            .p
            .area(&rect(x - 44.0 * s, y - 40.0 * s, 32.0 * s, 26.0 * s), white, 1.8, |_, _| 0.16);
        stage.p.flat(&rect(x - 36.0 * s, y - 34.0 * s, 12.0 * s, 10.0 * s), dark, 1.0);
    }
    let mut body =
        curve((x - 76.0 * s, y - 20.0 * s), (x, y - 4.0 * s), (x + 84.0 * s, y - 26.0 * s), 12);
    body.extend(curve(
        (x + 84.0 * s, y - 26.0 * s),
        (x + 66.0 * s, y + 16.0 * s),
        (x + 30.0 * s, y + 16.0 * s),
        8,
    ));
    body.extend(curve(
        (x - 44.0 * s, y + 16.0 * s),
        (x - 70.0 * s, y + 14.0 * s),
        (x - 76.0 * s, y - 20.0 * s),
        8,
    ));
    stage.p.area(&body, hull, 2.2, move |_, py| 0.2 + (py - y + 20.0 * s) / (80.0 * s));
    let stripe =
        curve((x - 73.0 * s, y - 11.0 * s), (x, y + 5.0 * s), (x + 79.0 * s, y - 16.0 * s), 12);
    stage.p.line(&stripe, white, 3.0 * s);
    let foam = stage.pal().sky[2].light(0.4);
    stage.p.line(
        &curve((x - 84.0 * s, y + 15.0 * s), (x, y + 22.0 * s), (x + 84.0 * s, y + 13.0 * s), 10),
        foam,
        2.4 * s,
    );
}

fn beacon(stage: &mut Stage, (x, y): Point) {
    let (green, lamp, lit) = (stage.lit(0x3f_7d_5e), stage.pal().lamp, stage.lamps());
    stage.p.area(&rect(x - 6.0, y - 40.0, 12.0, 42.0), green, 1.6, |_, _| 0.25);
    if lit {
        stage.p.glow((x, y - 46.0), 60.0, lamp, 0.9);
    }
    stage.p.disc((x, y - 46.0), 6.0, lamp, 1.6, |_, _| 0.0);
}

/// A deck of planks with a rail.
fn deck(stage: &mut Stage) {
    let (w, h) = (stage.w(), stage.h());
    let top = h * 0.79;
    let (plank, rail, ring) = (stage.lit(0xb5_84_56), stage.lit(0xf0_e8_d8), stage.lit(0xd1_4f_3e));
    for step in 0..=(w / 74.0) as usize {
        let x = step as f64 * 74.0 + 20.0;
        stage.p.area(&rect(x - 3.5, top - 62.0, 7.0, 64.0), rail, 1.8, |_, _| 0.1);
    }
    for (dy, thick) in [(-64.0, 9.0), (-34.0, 5.0)] {
        stage.p.area(&rect(-9.0, top + dy, w + 18.0, thick), rail, 1.8, |_, y| {
            0.05 + (y - top - dy) / 30.0
        });
    }
    let grain = stage.noise("deck");
    stage.p.area(&rect(-9.0, top, w + 18.0, h - top + 9.0), plank, 2.4, move |x, y| {
        0.16 + 0.5 * (grain.fractal(x / 160.0, y / 5.0, 3) - 0.35)
    });
    planks(stage, top, 0.5);
    let x = if stage.rng.chance(0.5) { w * 0.08 } else { w * 0.92 };
    stage.p.disc((x, top - 30.0), 22.0, ring, 2.0, |_, y| 0.1 + (y - top + 52.0) / 160.0);
    stage.p.disc((x, top - 30.0), 11.0, stage.pal().water, 2.0, |_, _| 0.0);
}

/// Board lines that run towards a vanishing point.
pub fn planks(stage: &mut Stage, top: f64, vanish: f64) {
    let (w, h) = (stage.w(), stage.h());
    let ink = stage.pal().ink.mix(stage.lit(0xb5_84_56), 0.45);
    let centre = w * vanish;
    let step = 58.0;
    for at in -(w / step) as i32 - 4..=(w / step) as i32 + 4 {
        let x = centre + f64::from(at) * step;
        stage.p.line(&[(x, top + 2.0), (centre + (x - centre) * 1.7, h + 6.0)], ink, 1.5);
    }
}

fn quay(stage: &mut Stage, top: f64) {
    let (w, h) = (stage.w(), stage.h());
    let (stone, edge, iron) = (stage.lit(0xa8_9a_86), stage.lit(0xc9_bb_a2), stage.lit(0x36_38_46));
    let grit = stage.noise("quay");
    let block = move |x: f64, y: f64| grit.at((x / 62.0).floor() * 3.7, (y / 26.0).floor() * 5.1);
    stage.p.area(&rect(-9.0, top, w + 18.0, h - top + 9.0), stone, 2.4, move |x, y| {
        0.05 + 0.38 * block(x, y) + 0.4 * (grit.fractal(x / 16.0, y / 16.0, 3) - 0.45)
    });
    stage.p.area(&rect(-9.0, top - 9.0, w + 18.0, 13.0), edge, 2.4, |_, _| 0.1);
    let joint = stone.dark(0.45);
    for row in 0..((h - top) / 30.0).ceil() as usize {
        let y = top + 4.0 + row as f64 * 30.0;
        stage.p.line(&[(0.0, y), (w, y)], joint, 1.3);
        for col in 0..=(w / 84.0) as usize {
            let x = col as f64 * 84.0 + if row % 2 == 0 { 20.0 } else { 62.0 };
            stage.p.line(&[(x, y), (x, y + 30.0)], joint, 1.3);
        }
    }
    for x in [w * 0.06, w * 0.94] {
        stage.p.area(&ellipse((x, top - 4.0), 15.0, 6.0), iron, 2.0, |_, _| 0.2);
        stage.p.area(&rect(x - 9.0, top - 34.0, 18.0, 32.0), iron, 2.0, |_, _| 0.3);
        stage.p.area(&ellipse((x, top - 34.0), 15.0, 7.0), iron.light(0.15), 2.0, |_, _| 0.1);
    }
}

/// Tufts of grass along the foreground.
pub fn tufts(stage: &mut Stage, top: f64, count: usize) {
    let blade: Rgb = if stage.snowy() { stage.lit(0xf4_f8_fc) } else { stage.lit(0x4d_6f_40) };
    for _ in 0..count * (stage.w() as usize) / 700 {
        let (x, y) = (stage.rng.between(0.0, stage.w()), stage.rng.between(top + 6.0, stage.h()));
        let size = stage.rng.between(6.0, 13.0) * (0.7 + (y - top) / 160.0);
        for lean in [-0.5, 0.0, 0.6] {
            stage.p.line(
                &curve(
                    (x, y),
                    (x + lean * size * 0.3, y - size * 0.6),
                    (x + lean * size, y - size),
                    4,
                ),
                blade,
                2.0,
            );
        }
    }
}
