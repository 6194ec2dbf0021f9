//! The address objects of a socket's latest peers: an object costs more to make than a datagram to receive.

use maypole_sys::datagram::Address;

use crate::capi::{Obj, Owned};

/// How many peers a busy socket remembers.
const PEERS_MAX: usize = 256;
const GROWTH: usize = 16;

struct Peer {
    address: Address,
    /// An exact tuple of strings and integers, or a string: nobody can change it.
    object: Owned,
}

/// A small table by hash, where a later peer takes the place of an earlier one.
#[derive(Default)]
pub(super) struct Peers {
    places: Vec<Option<Peer>>,
    /// The place of the peer that was named last.
    last: usize,
    /// How often a peer had to give way since the table grew.
    evictions: usize,
    /// The object that the program sent to last, and its address. It may be written in another way than the socket would, so it
    /// is never given out.
    target: Option<Peer>,
}

impl Peers {
    /// The object of an address, if it is known.
    #[inline]
    pub(super) fn object(&mut self, address: &Address) -> Option<Owned> {
        let place = place_of(address, self.places.len())?;
        match &self.places[place] {
            Some(peer) if peer.address == *address => {
                self.last = place;
                Some(peer.object.own())
            }
            _ => None,
        }
    }

    /// The address of the peer that was named or sent to last, if this is its very object.
    #[inline]
    pub(super) fn address_if_last(&self, object: &Obj) -> Option<Address> {
        let named = self.places.get(self.last).and_then(Option::as_ref);
        [named, self.target.as_ref()]
            .into_iter()
            .flatten()
            .find(|peer| peer.object.is(object))
            .map(|peer| peer.address)
    }

    /// Remembers what the program sends to; the one before is for the caller to drop.
    pub(super) fn remember_target(&mut self, address: Address, object: Owned) -> Option<Owned> {
        let before = self.target.replace(Peer { address, object });
        before.map(|peer| peer.object)
    }

    /// Remembers a peer; what gives way is for the caller to drop.
    pub(super) fn remember(&mut self, address: Address, object: Owned) -> Vec<Owned> {
        let mut gone = Vec::new();
        if self.places.is_empty() || (self.evictions > self.places.len() && self.places.len() < PEERS_MAX) {
            let size = (self.places.len() * GROWTH).clamp(1, PEERS_MAX);
            gone.extend(self.places.drain(..).flatten().map(|peer| peer.object));
            self.places.resize_with(size, || None);
            self.evictions = 0;
        }
        let place = place_of(&address, self.places.len()).unwrap_or(0);
        if let Some(before) = self.places[place].replace(Peer { address, object }) {
            self.evictions += 1;
            gone.push(before.object);
        }
        self.last = place;
        gone
    }

    /// Forgets all, to be dropped by the caller.
    pub(super) fn clear(&mut self) -> Vec<Owned> {
        let known = self.places.drain(..).flatten().chain(self.target.take());
        known.map(|peer| peer.object).collect()
    }
}

/// Where an address has its place in a table of so many (a power of two).
#[inline]
fn place_of(address: &Address, size: usize) -> Option<usize> {
    let mut hash = 0_u64;
    for part in address.bytes().chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        hash = (hash.rotate_left(5) ^ u64::from_ne_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    size.checked_sub(1).map(|mask| (hash >> 40) as usize & mask)
}
