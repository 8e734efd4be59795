//! Trigonometry in degrees. Angles whose value is a round number give exactly that number: every function is scaled so that it is
//! exact at 30, 45 and 60 degrees, and other quadrants are folded onto the first.

use std::sync::LazyLock;

use spg_expr::Function;
use spg_expr::arity::{map2, try_map1};
use spg_types::Result;

use super::float::{float_functions, out_of_domain, within};
use crate::record::{FUNCTION, TOTAL, sig};

/// Values of the library's own functions at the angles that are made exact.
struct Anchors {
    sin_30: f64,
    one_minus_cos_60: f64,
    asin_half: f64,
    acos_half: f64,
    atan_one: f64,
}

static ANCHORS: LazyLock<Anchors> = LazyLock::new(|| Anchors {
    sin_30: 30_f64.to_radians().sin(),
    one_minus_cos_60: 1.0 - 60_f64.to_radians().cos(),
    asin_half: 0.5_f64.asin(),
    acos_half: 0.5_f64.acos(),
    atan_one: 1_f64.atan(),
});

/// Sine of 0 to 30 degrees.
fn small_sine(degrees: f64) -> f64 {
    degrees.to_radians().sin() / ANCHORS.sin_30 / 2.0
}

/// Cosine of 0 to 60 degrees.
fn small_cosine(degrees: f64) -> f64 {
    1.0 - (1.0 - degrees.to_radians().cos()) / ANCHORS.one_minus_cos_60 / 2.0
}

/// Sine of 0 to 90 degrees.
fn sine(degrees: f64) -> f64 {
    if degrees <= 30.0 { small_sine(degrees) } else { small_cosine(90.0 - degrees) }
}

/// Cosine of 0 to 90 degrees.
fn cosine(degrees: f64) -> f64 {
    if degrees <= 60.0 { small_cosine(degrees) } else { small_sine(90.0 - degrees) }
}

/// An angle as one of the first quadrant, with the signs of its sine and its cosine.
fn quadrant(degrees: f64) -> (f64, f64, f64) {
    let (mut angle, mut sine_sign, mut cosine_sign) = (degrees % 360.0, 1.0, 1.0);
    if angle < 0.0 {
        (angle, sine_sign) = (-angle, -sine_sign);
    }
    if angle > 180.0 {
        (angle, sine_sign) = (360.0 - angle, -sine_sign);
    }
    if angle > 90.0 {
        (angle, cosine_sign) = (180.0 - angle, -cosine_sign);
    }
    (angle, sine_sign, cosine_sign)
}

/// A function of the folded angle and both signs; it has no value at infinity.
fn of_angle(degrees: f64, f: impl Fn(f64, f64, f64) -> f64) -> Result<f64> {
    if degrees.is_nan() {
        return Ok(degrees);
    }
    if degrees.is_infinite() {
        return Err(out_of_domain());
    }
    let (angle, sine_sign, cosine_sign) = quadrant(degrees);
    Ok(f(angle, sine_sign, cosine_sign))
}

/// Without the sign of zero.
fn unsigned_zero(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x }
}

fn tangent(degrees: f64) -> Result<f64> {
    of_angle(degrees, |a, s, c| unsigned_zero(s * c * (sine(a) / cosine(a) / (sine(45.0) / cosine(45.0)))))
}

fn cotangent(degrees: f64) -> Result<f64> {
    of_angle(degrees, |a, s, c| unsigned_zero(s * c * (cosine(a) / sine(a) / (cosine(45.0) / sine(45.0)))))
}

/// Inverse sine of 0 to 1.
fn inverse_sine(x: f64) -> f64 {
    if x <= 0.5 { x.asin() / ANCHORS.asin_half * 30.0 } else { 90.0 - x.acos() / ANCHORS.acos_half * 60.0 }
}

/// Inverse cosine of 0 to 1.
fn inverse_cosine(x: f64) -> f64 {
    if x <= 0.5 { 90.0 - x.asin() / ANCHORS.asin_half * 30.0 } else { x.acos() / ANCHORS.acos_half * 60.0 }
}

fn arc(x: f64, f: impl Fn(f64) -> f64) -> Result<f64> {
    within(x, |x| x.abs() <= 1.0, f)
}

float_functions! {
    /// `sind`
    SIND, "sind", "Sine of an angle in degrees.", "sind(30)", "0.5", |x| of_angle(x, |a, s, _| s * sine(a));
    /// `cosd`
    COSD, "cosd", "Cosine of an angle in degrees.", "cosd(60)", "0.5", |x| of_angle(x, |a, _, c| c * cosine(a));
    /// `tand`
    TAND, "tand", "Tangent of an angle in degrees.", "tand(45)", "1", tangent;
    /// `cotd`
    COTD, "cotd", "Cotangent of an angle in degrees.", "cotd(45)", "1", cotangent;
    /// `asind`
    ASIND, "asind", "Inverse sine, in degrees.", "asind(0.5)", "30",
        |x| arc(x, |x| if x < 0.0 { -inverse_sine(-x) } else { inverse_sine(x) });
    /// `acosd`
    ACOSD, "acosd", "Inverse cosine, in degrees.", "acosd(0.5)", "60",
        |x| arc(x, |x| if x < 0.0 { 90.0 + inverse_sine(-x) } else { inverse_cosine(x) });
    /// `atand`
    ATAND, "atand", "Inverse tangent, in degrees.", "atand(1)", "45", |x| Ok(x.atan() / ANCHORS.atan_one * 45.0);
}

/// `atan2d`
pub(super) static ATAN2D: Function = Function {
    name: "atan2d",
    doc: "Inverse tangent of the quotient, in degrees, in the right quadrant.",
    example: ("atan2d(1, 0)", "90"),
    signatures: &[sig!([FLOAT8, FLOAT8] => FLOAT8, |b| {
        map2::<f64, f64, f64>(b, |y, x| y.atan2(x) / ANCHORS.atan_one * 45.0)
    })],
    ..TOTAL
};
