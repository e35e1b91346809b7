//! Walking over the elements of a list, in either direction.

use std::collections::vec_deque;

use super::nodes::Node;
use super::run::End;
use crate::types::Str;
use crate::types::listpack::{At, View};

/// An iterator over elements. It walks from the head to the tail, or with `BACK` the other way.
#[derive(Clone)]
pub struct Walk<'a, const BACK: bool> {
    place: Place<'a>,
    /// The nodes behind that place, in the order of the list.
    rest: vec_deque::Iter<'a, Node>,
}

/// Where a walk is.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// Among the elements of a listpack: before this one, that is behind the one before it.
    Run(View<'a>, At),
    /// Before the only element of a node.
    Plain(&'a [u8]),
    /// At the end of a node.
    Over,
}

impl<'a> Place<'a> {
    /// The end of a listpack at which a walk begins.
    #[inline]
    pub(super) fn in_view(view: View<'a>, begin: End) -> Place<'a> {
        match begin {
            End::Front => Place::Run(view, view.first().unwrap_or(view.end())),
            End::Back => Place::Run(view, view.end()),
        }
    }
}

impl<'a, const BACK: bool> Walk<'a, BACK> {
    pub(super) fn new(place: Place<'a>, rest: vec_deque::Iter<'a, Node>) -> Self {
        Walk { place, rest }
    }

    #[inline]
    fn in_node(&mut self) -> Option<Str<'a>> {
        match &mut self.place {
            Place::Run(view, at) if BACK => {
                *at = view.prev(*at)?;
                Some(view.get(*at))
            }
            Place::Run(view, at) => {
                if *at == view.end() {
                    return None;
                }
                let (element, len) = view.element(*at);
                *at += len;
                Some(element)
            }
            &mut Place::Plain(bytes) => {
                self.place = Place::Over;
                Some(Str::classify(bytes))
            }
            Place::Over => None,
        }
    }
}

impl<'a, const BACK: bool> Iterator for Walk<'a, BACK> {
    type Item = Str<'a>;

    #[inline]
    fn next(&mut self) -> Option<Str<'a>> {
        loop {
            if let Some(element) = self.in_node() {
                return Some(element);
            }
            self.place = if BACK {
                self.rest.next_back()?.place(End::Back)
            } else {
                self.rest.next()?.place(End::Front)
            };
        }
    }
}
