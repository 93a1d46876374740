//! Which digests are those of one image.

use std::collections::BTreeSet;

use hullmark_types::Digest;

use super::head::{Head, Identity};
use super::search::NamedDigests;

/// The digests of one image, as far as entries have told them.
#[derive(Debug)]
pub(super) struct Identities {
    /// The digest that was asked for, of whatever it is.
    asked: Digest,
    /// Whether an entry says that it is the digest of an index.
    asked_is_index: bool,
    indexes: BTreeSet<Digest>,
    manifests: BTreeSet<Digest>,
    configs: BTreeSet<Digest>,
}

impl Identities {
    pub(super) fn of(asked: &Digest) -> Self {
        Self {
            asked: asked.clone(),
            asked_is_index: false,
            indexes: BTreeSet::new(),
            manifests: BTreeSet::new(),
            configs: BTreeSet::new(),
        }
    }

    /// All digests.
    pub(super) fn digests(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.asked).chain(&self.indexes).chain(&self.manifests).chain(&self.configs)
    }

    pub(super) fn indexes(&self) -> Vec<Digest> {
        self.indexes.iter().cloned().collect()
    }

    pub(super) fn manifests(&self) -> Vec<Digest> {
        self.manifests.iter().cloned().collect()
    }

    pub(super) fn configs(&self) -> Vec<Digest> {
        self.configs.iter().cloned().collect()
    }

    /// Takes in the digests of all entries about the image, until there are no new ones.
    pub(super) fn close_over<'a>(&mut self, heads: impl Iterator<Item = &'a Head> + Clone) {
        // A token or policy is about no image whatever its record names.
        let images = heads.filter(|head| !head.is_administrative()).filter_map(Head::identity);
        self.asked_is_index |= images.clone().any(|image| image.index.as_ref() == Some(&self.asked));
        loop {
            let before = self.digests().count();
            for image in
                images.clone().filter(|image| self.names_the_image(image)).cloned().collect::<Vec<_>>()
            {
                self.manifests.extend(image.manifest);
                self.configs.extend(image.config);
                // An index leads to the images in it, but they do not lead to other indexes, nor from an image to the
                // others in its index.
                self.indexes.extend(image.index.filter(|index| !self.asked_is_index || *index == self.asked));
            }
            if self.digests().count() == before {
                return;
            }
        }
    }

    /// Whether the image in a record is this one, by a digest that no other image has.
    fn names_the_image(&self, image: &Identity) -> bool {
        let own = |digest: &Option<Digest>| {
            digest.as_ref().is_some_and(|digest| {
                self.manifests.contains(digest) || self.configs.contains(digest) || *digest == self.asked
            })
        };
        own(&image.manifest) || own(&image.config) || image.index.as_ref() == Some(&self.asked)
    }

    /// Whether the entry is about the image: by its digests; or it names an index of the image and no image of it; or its
    /// further facts, or the name of an image whose digests are not known, mention it.
    pub(super) fn is_about(&self, head: &Head) -> bool {
        if head.is_administrative() {
            return false;
        }
        let known: NamedDigests = self.digests().collect();
        let by_identity = head.identity().is_some_and(|image| {
            let mut digests = image.digests().peekable();
            match digests.peek() {
                None => image.is_named_by(&known),
                Some(_) => self.names_the_image(image) || digests.all(|digest| known.contains(digest)),
            }
        });
        by_identity || head.details().any(|detail| known.occur_in(detail.as_bytes()))
    }
}
