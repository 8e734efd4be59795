//! Whether the processor has what the server was compiled for.
//!
//! `is_x86_feature_detected!` answers without asking when the compiler may assume a feature, so the processor is asked here.

/// Features of x86-64-v3 that the build may use and the processor lacks.
#[cfg(target_arch = "x86_64")]
pub(crate) fn missing_features() -> Vec<&'static str> {
    use std::arch::x86_64::__cpuid_count;

    if !cfg!(target_feature = "avx2") {
        return Vec::new();
    }
    // A leaf above the highest one would answer with another leaf's bits.
    let leaf = |number: u32| {
        let highest = __cpuid_count(number & 0x8000_0000, 0).eax;
        (number <= highest).then(|| __cpuid_count(number, 0))
    };
    let basic = leaf(1).map_or(0, |l| l.ecx);
    let more = leaf(7).map_or(0, |l| l.ebx);
    let extended = leaf(0x8000_0001).map_or(0, |l| l.ecx);
    let bits = [
        ("SSSE3", basic, 9),
        ("FMA", basic, 12),
        ("SSE4.1", basic, 19),
        ("SSE4.2", basic, 20),
        ("MOVBE", basic, 22),
        ("POPCNT", basic, 23),
        ("OSXSAVE", basic, 27),
        ("AVX", basic, 28),
        ("F16C", basic, 29),
        ("BMI1", more, 3),
        ("AVX2", more, 5),
        ("BMI2", more, 8),
        ("LZCNT", extended, 5),
    ];
    bits.iter().filter(|(_, word, bit)| word >> bit & 1 == 0).map(|(name, ..)| *name).collect()
}

/// Other processors have what their target says.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn missing_features() -> Vec<&'static str> {
    Vec::new()
}
