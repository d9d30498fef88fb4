//! Which image goes next.
//!
//! Images of one base need its layers once. So of all images whose first
//! missing layer is the same, one goes ahead, the smallest. Once it is under
//! way the others are sent as well, without what it brings: an engine first
//! takes in a whole archive, so that their end need only be held back until
//! that one is done. Pure: chains and sizes in, a choice out.

use super::ImageSource;
use super::source::diff_ids;

/// Layer chains that the engine holds, as diff ids from the base up.
#[derive(Debug, Default, Clone)]
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

    fn missing_bytes(&self, chains: &Chains) -> u64 {
        self.sizes[chains.held(&self.chain)..].iter().sum()
    }

    fn waits_for(&self, other: &Self, chains: &Chains) -> bool {
        self.missing_bytes(chains) > 0 && self.first_missing(chains) == other.first_missing(chains)
    }
}

/// An image to be sent now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// Its place among those that are pending.
    pub(super) place: usize,
    /// How many layers, from the base up, need not be sent.
    pub(super) skip: usize,
    /// Index of the image under way that brings the last of these; `None`
    /// when the engine holds them.
    pub(super) behind: Option<usize>,
}

/// What to start now: the largest of those that need not go behind another
/// one that is still pending. Any number may wait for another: sending them
/// slows down the one ahead, but who is sent late ends late, and an engine
/// that unpacks the last one alone leaves processors idle.
pub(super) fn next(pending: &[Pending], running: &[Pending], chains: &Chains) -> Option<Start> {
    let mut coming = chains.clone();
    for one in running {
        coming.add(one.chain.clone());
    }
    let rank = |one: &Pending| (one.missing_bytes(&coming), one.index);
    let held_back = |one: &Pending| coming.held(&one.chain) > chains.held(&one.chain);
    let free = |(place, one): &(usize, &Pending)| {
        let goes_first = |(at, other): (usize, &Pending)| {
            at != *place && one.waits_for(other, &coming) && rank(other) < rank(one)
        };
        !pending.iter().enumerate().any(goes_first)
    };
    let (place, one) = pending
        .iter()
        .enumerate()
        .filter(free)
        .max_by_key(|(_, one)| rank(one))?;
    let skip = coming.held(&one.chain);
    let brings = |other: &&Pending| other.chain.starts_with(&one.chain[..skip]);
    Some(Start {
        place,
        skip,
        behind: held_back(one)
            .then(|| running.iter().find(brings))
            .flatten()
            .map(|other| other.index),
    })
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

    /// Starts images, so many at once, of which the first is always the first
    /// to be done. Returns them as started: index, layers left out, and behind
    /// which other one.
    fn order(
        mut pending: Vec<Pending>,
        chains: &mut Chains,
        at_once: usize,
    ) -> Vec<(usize, usize, Option<usize>)> {
        let (mut order, mut running) = (Vec::new(), Vec::<Pending>::new());
        while !pending.is_empty() {
            while running.len() < at_once
                && let Some(start) = next(&pending, &running, chains)
            {
                let one = pending.remove(start.place);
                order.push((one.index, start.skip, start.behind));
                running.push(one);
            }
            assert!(!running.is_empty(), "nothing can start: {pending:?}");
            chains.add(running.remove(0).chain);
        }
        order
    }

    fn of_one_base() -> Vec<Pending> {
        vec![
            image(0, &[("base", 10), ("large", 90)]),
            image(1, &[("base", 10), ("small", 1)]),
            image(2, &[("other", 50)]),
            image(3, &[("base", 10), ("middle", 30)]),
        ]
    }

    #[test]
    fn a_shared_base_is_sent_once_by_the_smallest_image() {
        for at_once in 1..5 {
            let order = order(of_one_base(), &mut Chains::default(), at_once);
            let with_base: Vec<_> = order.iter().filter(|(_, skip, _)| *skip == 0).collect();
            assert_eq!(with_base, [&(2, 0, None), &(1, 0, None)]);
        }
    }

    #[test]
    fn images_go_behind_the_one_that_brings_their_base() {
        let one = order(of_one_base(), &mut Chains::default(), 1);
        assert_eq!(
            one,
            [(2, 0, None), (1, 0, None), (0, 1, None), (3, 1, None)]
        );
        let all = order(of_one_base(), &mut Chains::default(), 4);
        assert_eq!(
            all,
            [(2, 0, None), (1, 0, None), (0, 1, Some(1)), (3, 1, Some(1))]
        );
    }

    #[test]
    fn behind_one_that_goes_behind_another() {
        let images = vec![
            image(0, &[("a", 1), ("b", 2), ("c", 3)]),
            image(1, &[("a", 1), ("b", 2)]),
            image(2, &[("a", 1)]),
        ];
        let order = order(images, &mut Chains::default(), 3);
        assert_eq!(order, [(2, 0, None), (1, 1, Some(2)), (0, 2, Some(1))]);
    }

    #[test]
    fn nobody_waits_for_a_layer_that_is_there() {
        let images = vec![
            image(0, &[("base", 10), ("a", 90)]),
            image(1, &[("base", 10), ("b", 95)]),
        ];
        let mut chains = Chains::new(vec![vec!["base".to_owned(), "x".to_owned()]]);
        assert_eq!(order(images, &mut chains, 2), [(1, 1, None), (0, 1, None)]);
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
        let twins = order(vec![same(), twin], &mut Chains::default(), 2);
        assert_eq!(twins, [(0, 0, None), (1, 2, Some(0))]);
        let empty = vec![image(0, &[]), image(1, &[])];
        let none = order(empty, &mut Chains::default(), 2);
        assert_eq!(none, [(1, 0, None), (0, 0, None)]);
    }
}
