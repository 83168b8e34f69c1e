//! Outside the towns: forest, mountain, and the village on its hillside.

use super::paint::{Point, curve, ellipse, rect};
use super::sea::tufts;
use super::sky::sky;
use super::stage::Stage;

/// Among conifers. Gives the height at which people stand.
pub fn forest(stage: &mut Stage) -> f64 {
    let (w, h) = (stage.w(), stage.h());
    sky(stage, h * 0.62);
    let hill = stage.far(0x5f_7f_6f, 0.55);
    stage.hill("far", h * 0.45, 46.0, 300.0, hill, 1.2);
    for (row, (distance, base, size)) in
        [(0.55, 0.62, 0.62), (0.3, 0.72, 0.95), (0.08, 0.83, 1.5)].into_iter().enumerate()
    {
        let spacing = 62.0 * size;
        let count = (w / spacing).ceil() as usize + 1;
        for at in 0..count {
            let x = (at as f64 + stage.rng.between(-0.35, 0.35)) * spacing;
            // The middle of the nearest row stays open for the people.
            let middle = (x / w - 0.5).abs() < 0.3;
            if row == 2 && middle {
                continue;
            }
            let scale = size * stage.rng.between(0.8, 1.2);
            let foot = h * base + stage.rng.between(-6.0, 6.0);
            conifer(stage, (x, foot), scale, distance);
        }
        let floor = stage.far(0x5b_6b_45, distance * 0.8);
        let floor = if stage.snowy() { stage.far(0xe8_f0_f6, distance * 0.6) } else { floor };
        stage.hill(&format!("floor{row}"), h * base, 8.0, 170.0, floor, 1.4);
    }
    tufts(stage, h * 0.84, 40);
    if stage.lamps() {
        campfire(stage, (w * 0.5, h * 0.9));
    }
    h * 0.95
}

/// A spruce of layered boughs; scale 1 is about 190 high.
pub fn conifer(stage: &mut Stage, (x, y): Point, s: f64, distance: f64) {
    let own = stage.rng.pick([0x2f_5d_4a, 0x39_66_4a, 0x28_52_48]);
    let (green, trunk) = (stage.far(own, distance), stage.far(0x5a_42_33, distance));
    let snow = stage.snowy().then(|| stage.far(0xf4_f8_fc, distance * 0.5));
    let line = if distance < 0.2 { 2.0 } else { 1.0 };
    let left_lit = stage.light.0 < x;
    stage.p.area(&rect(x - 6.0 * s, y - 22.0 * s, 12.0 * s, 26.0 * s), trunk, line, |_, _| 0.3);
    for tier in 0..4 {
        let t = f64::from(tier);
        let (base, half, top) =
            (y - (18.0 + t * 40.0) * s, (50.0 - t * 10.5) * s, y - (90.0 + t * 34.0) * s);
        let mut points = vec![(x, top)];
        let mut scallop = Vec::new();
        for step in 0..=8 {
            let u = f64::from(step) / 8.0;
            let dip = if step % 2 == 0 { 7.0 } else { -3.0 } * s;
            scallop.push((x + half - 2.0 * half * u, base + dip - (u - 0.5).abs() * 6.0 * s));
        }
        points.extend(scallop.iter().copied());
        stage.p.area(&points, green, line, move |px, py| {
            let side = (px - x) / half * if left_lit { 1.0 } else { -1.0 };
            let under = 1.0 - (base - py) / (base - top);
            0.14 + 0.22 * side + 0.4 * (1.0 - under) * (1.0 - distance)
        });
        if let Some(snow) = snow {
            let cap = [
                (x, top),
                (x + half * 0.62, base - 26.0 * s),
                (x + half * 0.2, base - 34.0 * s),
                (x - half * 0.25, base - 24.0 * s),
                (x - half * 0.6, base - 28.0 * s),
            ];
            stage.p.flat(&cap, snow, 0.0);
        }
    }
}

fn campfire(stage: &mut Stage, (x, y): Point) {
    let (log, lamp) = (stage.lit(0x5a_3d_2a), stage.pal().lamp);
    stage.p.glow((x, y - 14.0), 170.0, lamp, 0.55);
    for lean in [-1.0, 1.0] {
        stage.p.line(&[(x - 22.0 * lean, y + 4.0), (x + 16.0 * lean, y - 8.0)], log, 8.0);
    }
    for (size, colour) in [(1.0, 0xf0_7a_2e), (0.6, 0xff_c9_4a), (0.3, 0xff_f3_b8)] {
        let mut flame = curve(
            (x - 16.0 * size, y - 2.0),
            (x - 18.0 * size, y - 26.0 * size),
            (x + 2.0, y - 58.0 * size),
            8,
        );
        flame.extend(curve(
            (x + 2.0, y - 58.0 * size),
            (x + 22.0 * size, y - 22.0 * size),
            (x + 15.0 * size, y - 2.0),
            8,
        ));
        stage.p.flat(&flame, super::colour::rgb(colour), 0.0);
    }
}

/// High up: peaks, snow fields, a path.
pub fn mountain(stage: &mut Stage) -> f64 {
    let (w, h) = (stage.w(), stage.h());
    let horizon = h * 0.66;
    sky(stage, horizon);
    peaks(stage, "far peaks", h * 0.56, h * 0.2, 0.6);
    peaks(stage, "near peaks", h * 0.68, h * 0.36, 0.28);
    let slope = if stage.snowy() { stage.lit(0xe6_ee_f6) } else { stage.far(0x8a_84_72, 0.12) };
    stage.hill("slope", h * 0.7, 30.0, 300.0, slope, 2.0);
    for _ in 0..3 {
        let (x, y) = (stage.rng.between(0.02, 0.98) * w, h * stage.rng.between(0.72, 0.78));
        conifer(stage, (x, y), stage.rng.clone().between(0.35, 0.55), 0.2);
        stage.rng.bits();
    }
    let ground = if stage.snowy() { stage.lit(0xf2_f6_fa) } else { stage.lit(0x9a_8f_74) };
    stage.hill("ground", h * 0.82, 10.0, 240.0, ground, 2.4);
    stones(stage, h * 0.85);
    if !stage.snowy() {
        tufts(stage, h * 0.84, 22);
    }
    h * 0.95
}

/// A chain of peaks: straight flanks, broken by noise, with snow above a wavering line.
fn peaks(stage: &mut Stage, name: &str, base: f64, height: f64, distance: f64) {
    let w = stage.w();
    let noise = stage.noise(name);
    let count = (w / 260.0).ceil() as usize + 1;
    let tops: Vec<Point> = (0..count)
        .map(|at| {
            (
                (at as f64 + stage.rng.between(0.1, 0.9)) * w / (count as f64 - 0.5),
                base - height * stage.rng.between(0.55, 1.0),
            )
        })
        .collect();
    let profile = |x: f64| {
        let peak = tops.iter().map(|(px, py)| py + (x - px).abs() * 0.85).fold(base, f64::min);
        peak + (noise.fractal(x / 38.0, 0.0, 4) - 0.5) * 40.0
    };
    let steps = (w / 5.0) as usize + 2;
    let ridge: Vec<Point> = (0..steps).map(|s| s as f64 * 5.0).map(|x| (x, profile(x))).collect();
    let mut rock: Vec<Point> = ridge.clone();
    rock.extend([(w + 8.0, stage.h()), (-8.0, stage.h())]);
    let colour = stage.far(0x6f_72_88, distance);
    let toward = if stage.light.0 < w / 2.0 { 1.0 } else { -1.0 };
    let relief = move |x: f64, y: f64| {
        let (u, v) = (x / 46.0 + y / 90.0 * toward, y / 80.0);
        noise.warped(u + 0.16 * toward, v, 4) - noise.warped(u, v, 4)
    };
    stage.p.area(&rock, colour, 1.6, move |x, y| 0.2 * (1.0 - distance * 0.6) + relief(x, y) * 2.8);
    // Snow: the ridge down to a ragged line.
    let snow = stage.far(0xfb_fc_ff, distance * 0.55);
    let line = base - height * if stage.snowy() { 0.12 } else { 0.42 };
    let mut cap: Vec<Point> = ridge.clone();
    cap.extend(ridge.iter().rev().map(|(x, y)| {
        let ragged = line + (noise.fractal(x / 17.0, 7.0, 3) - 0.5) * height * 0.42;
        (*x, ragged.max(*y))
    }));
    stage.p.area(&cap, snow, 0.0, move |x, y| relief(x, y).max(0.0) * 3.0);
}

fn stones(stage: &mut Stage, top: f64) {
    let colour = stage.lit(0x84_7e_78);
    for _ in 0..(stage.w() / 90.0) as usize {
        let (x, y) = (stage.rng.between(0.0, stage.w()), stage.rng.between(top, stage.h()));
        let size = stage.rng.between(5.0, 16.0);
        let lumps = stage.noise("stone");
        let points: Vec<Point> = ellipse((x, y), size * 1.3, size * 0.8)
            .into_iter()
            .map(|(px, py)| {
                (
                    px + 5.0 * (lumps.at(px / 7.0, py / 7.0) - 0.5),
                    py + 4.0 * (lumps.at(py / 7.0, px / 7.0) - 0.5),
                )
            })
            .collect();
        stage.p.area(&points, colour, 1.8, move |_, py| 0.25 + (py - y) / (size * 2.4));
    }
}

/// Cottages on a hillside, and the road through them.
pub fn village(stage: &mut Stage) -> f64 {
    let (w, h) = (stage.w(), stage.h());
    sky(stage, h * 0.6);
    peaks(stage, "far peaks", h * 0.52, h * 0.24, 0.55);
    let (far, near) = if stage.snowy() {
        (stage.far(0xe4_ec_f2, 0.2), stage.lit(0xf0_f4_f8))
    } else {
        (stage.far(0x7f_9a_62, 0.3), stage.lit(0x8c_a4_5c))
    };
    stage.hill("back", h * 0.54, 26.0, 320.0, far, 1.6);
    let back = (w / 120.0) as usize;
    for at in 0..back {
        let x = (at as f64 + stage.rng.between(0.3, 0.7)) * w / back as f64;
        cottage(stage, (x, h * stage.rng.clone().between(0.56, 0.61)), 0.52, 0.25);
        stage.rng.bits();
    }
    stage.hill("front", h * 0.68, 18.0, 260.0, near, 2.0);
    let front = (w / 240.0).ceil() as usize;
    for at in 0..front {
        let x = (at as f64 + stage.rng.between(0.3, 0.7)) * w / front as f64;
        cottage(stage, (x, h * 0.74), 1.0, 0.06);
    }
    let road = stage.lit(if stage.snowy() { 0xe8_ec_f0 } else { 0xd2_b8_88 });
    stage.hill("road", h * 0.82, 7.0, 280.0, road, 2.2);
    stones(stage, h * 0.86);
    tufts(stage, h * 0.83, 16);
    h * 0.95
}

/// A cottage; scale 1 is about 110 wide.
fn cottage(stage: &mut Stage, (x, y): Point, s: f64, distance: f64) {
    let walls = stage.rng.pick([0xf3_e6_cc, 0xe9_d3_b4, 0xee_e9_e0, 0xdc_c0_a0]);
    let tiles = stage.rng.pick([0xb5_4e_3c, 0x9c_44_40, 0xc0_6a_42, 0x8a_56_4a]);
    let (wall, roof, wood) =
        (stage.far(walls, distance), stage.far(tiles, distance), stage.far(0x5d_40_30, distance));
    let window = if stage.lamps() { stage.pal().lamp } else { stage.far(0x6d_8c_a0, distance) };
    let line = if distance < 0.15 { 2.0 } else { 1.3 };
    stage.p.area(
        &rect(x + 24.0 * s, y - 108.0 * s, 14.0 * s, 34.0 * s),
        wall.dark(0.2),
        line,
        |_, _| 0.3,
    );
    stage.p.area(
        &rect(x - 46.0 * s, y - 52.0 * s, 92.0 * s, 56.0 * s),
        wall,
        line,
        move |px, _| 0.05 + (px - x + 46.0 * s) / (320.0 * s),
    );
    let gable = [
        (x - 58.0 * s, y - 50.0 * s),
        (x - 38.0 * s, y - 92.0 * s),
        (x + 38.0 * s, y - 92.0 * s),
        (x + 58.0 * s, y - 50.0 * s),
    ];
    let roof = if stage.snowy() { stage.far(0xf6_f9_fc, distance * 0.5) } else { roof };
    stage
        .p
        .area(&gable, roof, line, move |_, py| 0.16 + 0.22 * ((py / (5.0 * s)).sin() * 0.5 + 0.5));
    stage.p.area(&rect(x - 9.0 * s, y - 34.0 * s, 19.0 * s, 37.0 * s), wood, line, |_, _| 0.2);
    for dx in [-32.0, 22.0] {
        if stage.lamps() {
            stage.p.glow((x + (dx + 7.0) * s, y - 27.0 * s), 30.0 * s, window, 0.6);
        }
        stage.p.flat(&rect(x + dx * s, y - 36.0 * s, 14.0 * s, 16.0 * s), window, line);
        stage.p.line(
            &[(x + (dx + 7.0) * s, y - 36.0 * s), (x + (dx + 7.0) * s, y - 20.0 * s)],
            wood,
            line * 0.7,
        );
        stage.p.line(
            &[(x + dx * s, y - 28.0 * s), (x + (dx + 14.0) * s, y - 28.0 * s)],
            wood,
            line * 0.7,
        );
    }
}
