//! Chain ids: one digest for a layer with everything below it (image-spec 1.1, config.md, "Layer ChainID").

use sampan_types::Digest;
use sha2::{Digest as _, Sha256};

/// The chain id of each layer, for the digests of the uncompressed layers, the lowest first.
pub(crate) fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chain.push(match chain.last() {
            None => diff_id.clone(),
            Some(below) => Digest::sha256(Sha256::digest(format!("{below} {diff_id}")).into()),
        });
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_is_its_own_and_the_rest_depend_on_all_below() {
        let digest = |byte| Digest::sha256([byte; 32]);
        let chain = chain_ids(&[digest(1), digest(2), digest(3)]);
        assert_eq!(chain[0], digest(1));
        // printf '%s %s' sha256:0101… sha256:0202… | sha256sum
        let text = format!("sha256:{} sha256:{}", "01".repeat(32), "02".repeat(32));
        assert_eq!(chain[1], Digest::sha256(Sha256::digest(text).into()));
        assert_ne!(chain_ids(&[digest(2), digest(2), digest(3)])[2], chain[2]);
    }
}
