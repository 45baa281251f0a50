//! Runs of adjacent host ports, which either backend maps as one however many they are.

/// The fewest adjacent ports that are written as a range: what has fewer is as the reference writes it with
/// iptables, and passes its CHECK.
pub const RUN: usize = 20;

/// Sorted items in groups of those that follow one another.
pub fn adjacent<T>(
    sorted: impl IntoIterator<Item = T>,
    follows: impl Fn(&T, &T) -> bool,
) -> Vec<Vec<T>> {
    let mut all: Vec<Vec<T>> = Vec::new();
    for item in sorted {
        match all.last_mut() {
            Some(run) if run.last().is_some_and(|last| follows(last, &item)) => run.push(item),
            _ => all.push(vec![item]),
        }
    }
    all
}
