//! Slices of one thread must nest: readers drop one that crosses another's end.

/// A slice, and what it stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slice<T> {
    pub(super) begin_ns: u64,
    pub(super) end_ns: u64,
    pub(super) of: T,
}

/// Brings slices into the order of their beginning, outer before inner, and cuts what crosses the end of the slice that
/// it began in. A recording does that when the clocks of two events differ by a few ticks.
pub(super) fn nest<T>(mut slices: Vec<Slice<T>>) -> Vec<Slice<T>> {
    slices.sort_by_key(|slice| (slice.begin_ns, std::cmp::Reverse(slice.end_ns)));
    let mut open: Vec<u64> = Vec::new();
    for slice in &mut slices {
        while open.last().is_some_and(|end_ns| *end_ns <= slice.begin_ns) {
            open.pop();
        }
        if let Some(end_ns) = open.last() {
            slice.end_ns = slice.end_ns.min(*end_ns);
        }
        open.push(slice.end_ns);
    }
    slices
}
