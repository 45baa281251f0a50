//! Look, decide, commit, with our own kind taking turns.

use common::error::Error;
use nft::command::Command;
use nft::socket::Nft;

use crate::turn;

/// As [`nft::transaction::run`]. The generation is for others; of our own, nobody has to look twice for a
/// neighbour's sake.
///
/// # Errors
/// As [`nft::transaction::run`].
pub fn run<T>(
    nft: &mut Nft,
    decide: impl FnMut(&mut Nft) -> Result<(Vec<Command>, T), Error>,
) -> Result<T, Error> {
    let _turn = turn::to_write(|| nft.generation().ok());
    nft::transaction::run(nft, decide)
}
