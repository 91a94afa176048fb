//! Annotations over bytes: several trees in one list.
//!
//! ```text
//! a ─┬─ b              a precedes its parts and stores the number of annotations below it:
//!    └─ c ─┬─ d
//!          └─ e        a 4   b 0   c 2   d 0   e 0   f 0
//! f
//! ```
//!
//! All annotations of a frame are therefore in one allocation, in the order of its bytes.

use std::error::Error;
use std::fmt;
use std::ops::{Deref, Range};

use super::annotation::Annotation;

/// Trees of annotations that tile a range of bytes. A node covers exactly the bytes of its children, one after the
/// other; a leaf has no children and at least one byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: Vec<Annotation>,
}

/// An annotation of a [`Tree`], with the annotations below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    annotation: &'a Annotation,
    below: &'a [Annotation],
}

/// An iterator over sibling nodes.
#[derive(Clone, Debug)]
pub struct Nodes<'a> {
    rest: &'a [Annotation],
}

impl Tree {
    /// Returns the outermost nodes, which tile the bytes.
    pub fn iter(&self) -> Nodes<'_> {
        Nodes { rest: &self.nodes }
    }

    /// Returns every annotation, each before those below it.
    pub fn all(&self) -> &[Annotation] {
        &self.nodes
    }

    /// Returns the leaves, which tile the bytes too.
    pub fn leaves(&self) -> impl Iterator<Item = &Annotation> {
        self.nodes.iter().filter(|annotation| annotation.is_leaf())
    }

    /// Returns true if the tree has no annotation.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Returns the outermost node that covers exactly `place`.
    pub(crate) fn at(&self, place: &Range<usize>) -> Option<Node<'_>> {
        let at = self.nodes.partition_point(|annotation| annotation.range.start < place.start);
        Nodes { rest: self.nodes.get(at..)? }.next().filter(|node| node.range == *place)
    }

    /// Returns every annotation for modification.
    pub(crate) fn all_mut(&mut self) -> &mut [Annotation] {
        &mut self.nodes
    }

    pub(crate) fn with_room_for(count: usize) -> Self {
        Self { nodes: Vec::with_capacity(count) }
    }

    /// Adds a leaf, unless it is empty.
    pub(crate) fn push(&mut self, leaf: Annotation) {
        if !leaf.range.is_empty() {
            self.nodes.push(leaf);
        }
    }

    /// Adds leaves, except empty ones.
    pub(crate) fn extend(&mut self, leaves: impl IntoIterator<Item = Annotation>) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }

    /// Adds a node. Annotations added before its [`Tree::close`] are its children.
    pub(crate) fn open(&mut self, node: Annotation) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Ends the children of the node that [`Tree::open`] added, and returns that node.
    pub(crate) fn close(&mut self, open: usize) -> Option<&mut Annotation> {
        let below = self.nodes.len().saturating_sub(open + 1);
        let node = self.nodes.get_mut(open)?;
        node.below = u32::try_from(below).unwrap_or(u32::MAX);
        Some(node)
    }

    /// Returns the annotation that was added last.
    pub(crate) fn last_mut(&mut self) -> Option<&mut Annotation> {
        self.nodes.last_mut()
    }

    /// Returns the annotation at this place among all, each before those below it.
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut Annotation> {
        self.nodes.get_mut(at)
    }

    /// Returns the number of all annotations.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Removes the annotations that were added last, down to `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.nodes.truncate(len);
    }

    /// Appends another tree to this one.
    pub(crate) fn append(&mut self, other: &mut Tree) {
        self.nodes.append(&mut other.nodes);
    }

    /// Adds a node with all annotations below it.
    pub(super) fn push_node(&mut self, node: Node<'_>) {
        self.nodes.push(node.annotation.clone());
        self.nodes.extend_from_slice(node.below);
    }

    /// Replaces the outermost node that covers the range of `nodes`, if there is one.
    pub(crate) fn replace(&mut self, place: &Range<usize>, nodes: Tree) {
        let at = self.nodes.partition_point(|annotation| annotation.range.start < place.start);
        if let Some(old) = self.nodes.get(at).filter(|old| old.range == *place) {
            let end = at + 1 + old.below as usize;
            self.nodes.splice(at..end, nodes.nodes);
        }
    }

    /// Returns the approximate memory of this tree.
    pub(crate) fn cost(&self) -> usize {
        size_of::<Annotation>() * self.nodes.len() + self.nodes.iter().map(Annotation::cost).sum::<usize>()
    }

    /// Returns a cutter, which splits the tree at the boundaries of frames.
    pub(crate) fn cutter(&self) -> Cutter<'_> {
        Cutter { nodes: &self.nodes, at: 0, path: Vec::new() }
    }
}

impl<'a> IntoIterator for &'a Tree {
    type Item = Node<'a>;
    type IntoIter = Nodes<'a>;

    fn into_iter(self) -> Nodes<'a> {
        self.iter()
    }
}

impl From<Annotation> for Tree {
    fn from(leaf: Annotation) -> Self {
        let mut tree = Self::default();
        tree.push(leaf);
        tree
    }
}

impl<'a> Node<'a> {
    /// Returns the children, which tile the node's range; a leaf returns none.
    pub fn children(self) -> Nodes<'a> {
        Nodes { rest: self.below }
    }

    /// Returns the annotation, with the lifetime of the tree.
    pub fn annotation(self) -> &'a Annotation {
        self.annotation
    }
}

impl Deref for Node<'_> {
    type Target = Annotation;

    fn deref(&self) -> &Annotation {
        self.annotation
    }
}

impl<'a> Iterator for Nodes<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        let (annotation, rest) = self.rest.split_first()?;
        let (below, rest) = rest.split_at_checked(annotation.below as usize).unwrap_or((rest, &[]));
        self.rest = rest;
        Some(Node { annotation, below })
    }
}

/// Splits a tree into consecutive parts: gives each frame its part of what was decoded over several frames.
pub(crate) struct Cutter<'a> {
    nodes: &'a [Annotation],
    /// The index of the next annotation that no part contains yet.
    at: usize,
    /// The last annotation in a part, below its ancestors. The number is the index behind all annotations below it.
    path: Vec<(&'a Annotation, usize)>,
}

impl Cutter<'_> {
    /// Returns the annotations within `keep`, moved so that `keep.start` becomes `to`. Each byte is requested once.
    pub(crate) fn part(&mut self, keep: &Range<usize>, to: usize) -> Tree {
        let mut part = Tree::default();
        self.path.retain(|(node, _)| node.range.end > keep.start);
        let mut open: Vec<_> = self.path.iter().map(|(node, _)| part.open(node.clip(keep, to))).collect();
        while let Some(node) = self.nodes.get(self.at).filter(|node| node.range.start < keep.end) {
            let behind = self.at + 1 + node.below as usize;
            if node.range.end <= keep.start {
                self.at = behind;
                continue;
            }
            while self.path.pop_if(|(_, behind)| *behind <= self.at).is_some() {
                open.pop().and_then(|open| part.close(open));
            }
            self.path.push((node, behind));
            open.push(part.open(node.clip(keep, to)));
            self.at += 1;
        }
        for open in open {
            part.close(open);
        }
        part
    }
}

/// Checks that the leaves tile `within` exactly, and that every node covers exactly the bytes of its children.
///
/// # Errors
///
/// [`Gap`] at the first byte that has no leaf or more than one, or that the children of its node do not cover.
pub fn check_tiling<'a>(within: Range<usize>, nodes: impl IntoIterator<Item = Node<'a>>) -> Result<(), Gap> {
    let mut expected = within.start;
    for node in nodes {
        if node.range.start != expected || node.range.is_empty() {
            return Err(Gap { expected, found: node.range.start });
        }
        if !node.is_leaf() {
            check_tiling(node.range.clone(), node.children())?;
        }
        expected = node.range.end;
    }
    if expected == within.end { Ok(()) } else { Err(Gap { expected, found: within.end }) }
}

/// A place where annotations do not tile their input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The offset where the next leaf, or the end, should be.
    pub expected: usize,
    /// The offset where it is.
    pub found: usize,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the annotations do not tile the bytes: expected one at offset {}, found {}",
            self.expected, self.found
        )
    }
}

impl Error for Gap {}

#[cfg(test)]
mod tests {
    use super::super::annotation::{Layer, Part};
    use super::*;

    fn leaf(range: Range<usize>) -> Annotation {
        Annotation::new(range, Layer::Opaque, "leaf")
    }

    /// Returns a node over `range` between two leaves, with these leaves below it.
    fn tree(before: Range<usize>, range: Range<usize>, below: &[Range<usize>], after: Range<usize>) -> Tree {
        let mut tree = Tree::from(leaf(before));
        let open = tree.open(leaf(range));
        below.iter().for_each(|range| tree.push(leaf(range.clone())));
        tree.close(open);
        tree.push(leaf(after));
        tree
    }

    #[test]
    fn check_tiling_accepts_a_tiling_and_reports_gaps() {
        let whole = tree(0..2, 2..5, &[2..4, 4..4, 4..5], 5..6);
        assert_eq!(check_tiling(0..6, &whole), Ok(()));
        assert_eq!(whole.leaves().map(|leaf| leaf.range.clone()).collect::<Vec<_>>(), [0..2, 2..4, 4..5, 5..6]);
        assert_eq!(whole.iter().map(|node| node.children().count()).collect::<Vec<_>>(), [0, 2, 0]);
        assert_eq!(check_tiling(0..7, &whole), Err(Gap { expected: 6, found: 7 }));
        assert_eq!(check_tiling(0..3, &tree(0..1, 2..3, &[], 3..3)), Err(Gap { expected: 1, found: 2 }));
        assert_eq!(check_tiling(0..3, &tree(0..2, 1..3, &[], 3..3)), Err(Gap { expected: 2, found: 1 }));
        assert_eq!(check_tiling(0..3, &tree(0..0, 0..3, &[0..1, 1..2], 3..3)), Err(Gap { expected: 2, found: 3 }));
    }

    #[test]
    fn cut_tree_gives_each_frame_its_part() {
        let whole = tree(0..0, 0..10, &[0..4, 4..8, 8..10], 10..12);
        let parts = |borders: &[usize]| {
            let mut cutter = whole.cutter();
            borders.windows(2).map(|keep| cutter.part(&(keep[0]..keep[1]), 20)).collect::<Vec<_>>()
        };
        let told = |tree: &Tree| tree.all().iter().map(|it| (it.range.clone(), it.part, it.below)).collect::<Vec<_>>();
        let [head, middle, tail] = &parts(&[0, 6, 7, 12])[..] else { panic!() };
        assert_eq!(told(head), [(20..26, Part::Head, 2), (20..24, Part::Whole, 0), (24..26, Part::Head, 0)]);
        assert_eq!(told(middle), [(20..21, Part::Middle, 1), (20..21, Part::Middle, 0)]);
        let last =
            [(20..23, Part::Tail, 2), (20..21, Part::Tail, 0), (21..23, Part::Whole, 0), (23..25, Part::Whole, 0)];
        assert_eq!(told(tail), last);
        // The result does not depend on where the tree is cut first.
        assert!(parts(&[0, 12])[0].all().len() == whole.all().len() && told(&parts(&[7, 12])[0]) == last);
        for (first, second) in (1..12).flat_map(|first| (first + 1..12).map(move |second| (first, second))) {
            let borders = [0, first, second, 12];
            for (keep, part) in borders.windows(2).zip(parts(&borders)) {
                assert_eq!(check_tiling(20..20 + keep[1] - keep[0], &part), Ok(()), "{borders:?}");
            }
        }
    }

    #[test]
    fn node_can_be_replaced_by_another() {
        let mut whole = tree(0..2, 2..5, &[2..4, 4..5], 5..6);
        whole.replace(&(2..5), Tree::from(leaf(2..5)));
        assert_eq!(whole.all().len(), 3);
        whole.replace(&(3..5), Tree::default());
        assert_eq!(check_tiling(0..6, &whole), Ok(()));
    }
}
