//! Which image goes next.
//!
//! Images of one base need its layers once. So of all images whose first
//! missing layer is the same, one goes ahead, the smallest; the others wait
//! until the engine holds that layer. Pure: chains and sizes in, a choice out.

use super::ImageSource;
use super::source::diff_ids;

/// Layer chains that the engine holds, as diff ids from the base up.
#[derive(Debug, Default)]
pub struct Chains(Vec<Vec<String>>);

impl Chains {
    /// What these chains hold.
    pub fn new(chains: Vec<Vec<String>>) -> Self {
        Self(chains)
    }

    pub(super) fn add(&mut self, chain: Vec<String>) {
        self.0.push(chain);
    }

    /// How many layers of `wanted` are held, from the base up.
    pub fn held(&self, wanted: &[String]) -> usize {
        let shared = |chain: &Vec<String>| {
            let pairs = chain.iter().zip(wanted);
            pairs.take_while(|(held, wanted)| held == wanted).count()
        };
        self.0.iter().map(shared).max().unwrap_or(0)
    }
}

/// An image that is still to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    /// Its place in the list of images.
    pub(super) index: usize,
    chain: Vec<String>,
    sizes: Vec<u64>,
}

impl Pending {
    pub(super) fn new(index: usize, image: &ImageSource) -> Self {
        Self {
            index,
            chain: diff_ids(image),
            sizes: image.layers.iter().map(|layer| layer.unpacked).collect(),
        }
    }

    /// The chain up to the first layer that is missing; the whole chain when
    /// none is.
    fn first_missing<'a>(&'a self, chains: &Chains) -> &'a [String] {
        let end = chains.held(&self.chain) + 1;
        &self.chain[..end.min(self.chain.len())]
    }

    /// How many layers, from the base up, need not be sent.
    pub(super) fn held(&self, chains: &Chains) -> usize {
        chains.held(&self.chain)
    }

    fn missing_bytes(&self, chains: &Chains) -> u64 {
        self.sizes[chains.held(&self.chain)..].iter().sum()
    }

    fn waits_for(&self, other: &Self, chains: &Chains) -> bool {
        self.missing_bytes(chains) > 0 && self.first_missing(chains) == other.first_missing(chains)
    }
}

/// The pending image to start now, as its place in `pending`: the largest of
/// those that need not wait.
pub(super) fn next(pending: &[Pending], running: &[Pending], chains: &Chains) -> Option<usize> {
    let rank = |one: &Pending| (one.missing_bytes(chains), one.index);
    let free = |(place, one): &(usize, &Pending)| {
        !running.iter().any(|other| one.waits_for(other, chains))
            && !pending.iter().enumerate().any(|(at, other)| {
                at != *place && one.waits_for(other, chains) && rank(other) < rank(one)
            })
    };
    pending
        .iter()
        .enumerate()
        .filter(free)
        .max_by_key(|(_, one)| rank(one))
        .map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(index: usize, layers: &[(&str, u64)]) -> Pending {
        Pending {
            index,
            chain: layers.iter().map(|(name, _)| (*name).to_owned()).collect(),
            sizes: layers.iter().map(|(_, size)| *size).collect(),
        }
    }

    /// Starts images two at a time, each done before the next but one, and
    /// returns in which order.
    fn order(mut pending: Vec<Pending>, chains: &mut Chains) -> Vec<Vec<usize>> {
        let mut waves = Vec::new();
        while !pending.is_empty() {
            let mut running = Vec::new();
            while let Some(place) = next(&pending, &running, chains) {
                running.push(pending.remove(place));
            }
            assert!(!running.is_empty(), "nothing can start: {pending:?}");
            waves.push(running.iter().map(|one| one.index).collect());
            for one in running {
                chains.add(one.chain);
            }
        }
        waves
    }

    #[test]
    fn a_shared_base_is_sent_once_by_the_smallest_image() {
        let images = vec![
            image(0, &[("base", 10), ("large", 90)]),
            image(1, &[("base", 10), ("small", 1)]),
            image(2, &[("other", 50)]),
            image(3, &[("base", 10), ("middle", 30)]),
        ];
        let mut chains = Chains::default();
        assert_eq!(order(images, &mut chains), [vec![2, 1], vec![0, 3]]);
    }

    #[test]
    fn nobody_waits_for_a_layer_that_is_there() {
        let images = vec![
            image(0, &[("base", 10), ("a", 90)]),
            image(1, &[("base", 10), ("b", 95)]),
        ];
        let mut chains = Chains::new(vec![vec!["base".to_owned(), "x".to_owned()]]);
        assert_eq!(order(images, &mut chains), [vec![1, 0]]);
    }

    #[test]
    fn a_layer_counts_only_on_the_same_layers_below() {
        let chains = Chains::new(vec![vec!["a".to_owned(), "b".to_owned()]]);
        let wanted = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(chains.held(&wanted(&["a", "b", "c"])), 2);
        assert_eq!(chains.held(&wanted(&["b"])), 0);
        assert_eq!(chains.held(&[]), 0);
    }

    #[test]
    fn images_of_the_same_layers_or_none_do_not_block_each_other() {
        let same = || image(0, &[("a", 1), ("b", 2)]);
        let mut twin = same();
        twin.index = 1;
        let mut chains = Chains::default();
        assert_eq!(order(vec![same(), twin], &mut chains), [vec![0], vec![1]]);
        let empty = vec![image(0, &[]), image(1, &[])];
        assert_eq!(order(empty, &mut Chains::default()), [vec![1, 0]]);
    }
}
