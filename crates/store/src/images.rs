//! Images: manifests in the content store, and the names that lead to them.

use crate::{
    Lease, Store,
    containers::{from_nanoseconds, nanoseconds},
    fault::Fault,
    lookup,
};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use sampan_types::{ContainerId, ContainerName, Digest, Error, ErrorKind, ImageRef, Platform, Result};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// An image to be recorded; its blobs are in the content store.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// Digest of its manifest.
    pub digest: Digest,
    /// Media type of the manifest.
    pub media_type: String,
    /// Length of the manifest in bytes.
    pub manifest_size: u64,
    /// Digest of its configuration: the image's id.
    pub id: Digest,
    /// When the image was made.
    pub created_at: SystemTime,
    /// Bytes of manifest, configuration and layers as they are stored.
    pub size: u64,
    /// For which machine it is.
    pub platform: Platform,
    /// What shall be known without opening a blob, as the caller wants it back.
    pub config: serde_json::Value,
}

/// An image that is in the store.
#[derive(Debug, Clone)]
pub struct ImageRecord {
    /// Digest of its manifest.
    pub digest: Digest,
    /// Media type of the manifest.
    pub media_type: String,
    /// Length of the manifest in bytes.
    pub manifest_size: u64,
    /// Digest of its configuration: the image's id.
    pub id: Digest,
    /// The names that lead to it, sorted; empty once all were taken away.
    pub references: Vec<ImageRef>,
    /// When the image was made.
    pub created_at: SystemTime,
    /// Bytes of manifest, configuration and layers as they are stored.
    pub size: u64,
    /// For which machine it is.
    pub platform: Platform,
    /// Snapshot key of its topmost layer, once all are unpacked.
    pub unpacked: Option<String>,
    /// What was given in [`NewImage::config`].
    pub config: serde_json::Value,
}

/// The JSON column.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    version: u32,
    media_type: String,
    manifest_size: u64,
    platform: Platform,
    config: serde_json::Value,
}

impl Record {
    const VERSION: u32 = 1;
}

const SELECT: &str = "SELECT digest, id, created_at, size, unpacked, record,
    (SELECT group_concat(reference, ' ') FROM (SELECT reference FROM tag WHERE tag.digest = image.digest ORDER BY 1))
    AS tags FROM image";

impl Store {
    /// Records an image and lets `name` lead to it; an image that had the name loses it. The lease is the one under
    /// which its blobs were written.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where the name is a digest alone.
    pub fn insert_image(
        &self,
        lease: &Lease,
        image: &NewImage,
        name: Option<&ImageRef>,
    ) -> Result<ImageRecord> {
        lease.sync()?;
        let key = name.map(tag_key).transpose()?;
        let record = Record {
            version: Record::VERSION,
            media_type: image.media_type.clone(),
            manifest_size: image.manifest_size,
            platform: image.platform.clone(),
            config: image.config.clone(),
        };
        let stored = self.db.write(&format!("cannot record image {}", image.digest), |tx| {
            tx.prepare_cached(
                "INSERT INTO image (digest, id, created_at, size, record) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (digest) DO UPDATE SET record = excluded.record, size = excluded.size",
            )?
            .execute(params![
                image.digest.as_str(),
                image.id.as_str(),
                nanoseconds(image.created_at),
                i64::try_from(image.size).unwrap_or(i64::MAX),
                serde_json::to_string(&record)?
            ])?;
            if let Some(key) = &key {
                set_tag(tx, key, &image.digest)?;
            }
            by_digest(tx, &image.digest)
        })?;
        self.write_index()?;
        Ok(stored)
    }

    /// Every image, the youngest first.
    ///
    /// # Errors
    /// Only where the database fails or a record is damaged.
    pub fn images(&self) -> Result<Vec<ImageRecord>> {
        self.db.read("cannot list the images", |tx| {
            let mut statement = tx.prepare_cached(&format!("{SELECT} ORDER BY created_at DESC, digest"))?;
            let mut rows = statement.query([])?;
            let mut images = Vec::new();
            while let Some(row) = rows.next()? {
                images.push(read(row)?);
            }
            Ok(images)
        })
    }

    /// The image that a reference leads to. Where it has a digest, the image must be that one.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn image(&self, reference: &ImageRef) -> Result<ImageRecord> {
        let name = reference.familiar();
        self.db.read(&format!("cannot look up image {name}"), |tx| {
            let found = match (reference.tag(), reference.digest()) {
                (None, Some(digest)) => Some(digest.clone()),
                _ => tagged(tx, &tag_key(reference)?)?,
            };
            match found {
                Some(digest) if reference.digest().is_none_or(|wanted| *wanted == digest) => {
                    by_digest(tx, &digest)
                }
                _ => Err(no_such_image(&name).into()),
            }
        })
    }

    /// The image a person means: by reference or, where none is called so, by the first digits of its id or of its
    /// manifest's digest.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidInput`] where several begin so, or where it can be neither.
    pub fn find_image(&self, key: &str) -> Result<ImageRecord> {
        let by_name = key.parse::<ImageRef>().and_then(|reference| self.image(&reference));
        let range = lookup::prefix_range(key.strip_prefix("sha256:").unwrap_or(key));
        let (by_name, (from, to)) = match (by_name, range) {
            (Err(error), Some(range)) if error.kind() != ErrorKind::Internal => (error, range),
            (result, _) => return result,
        };
        let found = self.db.read(&format!("cannot look up image {key}"), |tx| {
            let mut statement = tx.prepare_cached(&format!(
                "{SELECT} WHERE (id >= ?1 AND id < ?2) OR (digest >= ?1 AND digest < ?2) LIMIT 9"
            ))?;
            let mut rows = statement.query([format!("sha256:{from}"), format!("sha256:{to}")])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(row)?);
            }
            Ok(found)
        })?;
        if found.is_empty() {
            return Err(by_name);
        }
        let names = found.iter().map(|image| image.digest.short().to_owned()).collect();
        lookup::only_one("image", key, found, names)
    }

    /// The image with this manifest.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn image_by_digest(&self, digest: &Digest) -> Result<ImageRecord> {
        self.db.read(&format!("cannot look up image {digest}"), |tx| by_digest(tx, digest))
    }

    /// Lets a name lead to an image; one that had it loses it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the image is not in the store.
    pub fn tag(&self, name: &ImageRef, digest: &Digest) -> Result<()> {
        let key = tag_key(name)?;
        self.db.write(&format!("cannot tag image {digest} as {}", name.familiar()), |tx| {
            by_digest(tx, digest)?;
            set_tag(tx, &key, digest)
        })?;
        self.write_index()
    }

    /// Takes a name away. The image stays, with its other names or none.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn untag(&self, name: &ImageRef) -> Result<()> {
        let key = tag_key(name)?;
        self.db.write(&format!("cannot untag image {}", name.familiar()), |tx| {
            match tx.prepare_cached("DELETE FROM tag WHERE reference = ?1")?.execute([&key])? {
                0 => Err(no_such_image(&name.familiar()).into()),
                _ => Ok(()),
            }
        })?;
        self.write_index()
    }

    /// Records that all layers of an image are unpacked, the topmost under `key`; or, with `None`, that they are not.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the image is gone.
    pub fn set_unpacked(&self, digest: &Digest, key: Option<&str>) -> Result<()> {
        self.db.write(&format!("cannot record that image {digest} is unpacked"), |tx| {
            let changed = tx
                .prepare_cached("UPDATE image SET unpacked = ?2 WHERE digest = ?1")?
                .execute(params![digest.as_str(), key])?;
            if changed == 0 { Err(no_such_image(digest.as_str()).into()) } else { Ok(()) }
        })
    }

    /// The containers made from an image.
    ///
    /// # Errors
    /// Only where the database fails.
    pub fn containers_of(&self, digest: &Digest) -> Result<Vec<(ContainerId, ContainerName)>> {
        self.db.read(&format!("cannot list the containers of image {digest}"), |tx| containers_of(tx, digest))
    }

    /// Forgets an image and its names. Its blobs go with the next [`Store::collect`].
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where a container was made from it; [`ErrorKind::NotFound`].
    pub fn delete_image(&self, digest: &Digest) -> Result<ImageRecord> {
        let what = format!("cannot remove image {}", digest.short());
        let image = self.db.write(&what, |tx| {
            let image = by_digest(tx, digest)?;
            if let [(id, name), ..] = containers_of(tx, digest)?.as_slice() {
                return Err(Error::new(ErrorKind::Conflict, what.as_str())
                    .because(format!("container {name} ({}) was made from it", id.short()))
                    .hint(format!("sampan rm {name}, then try again"))
                    .into());
            }
            tx.prepare_cached("DELETE FROM tag WHERE digest = ?1")?.execute([digest.as_str()])?;
            tx.prepare_cached("DELETE FROM image WHERE digest = ?1")?.execute([digest.as_str()])?;
            Ok(image)
        })?;
        self.write_index()?;
        Ok(image)
    }
}

/// The reference without its digest, in full: the key of table `tag`.
fn tag_key(reference: &ImageRef) -> Result<String> {
    match reference.tag() {
        Some(tag) => Ok(format!("{}/{}:{tag}", reference.host(), reference.repository())),
        None => {
            Err(Error::new(ErrorKind::InvalidInput, format!("cannot use {} as a name", reference.familiar()))
                .because("it has a digest and no tag")
                .hint("NAME:TAG"))
        }
    }
}

fn set_tag(tx: &Transaction<'_>, key: &str, digest: &Digest) -> Result<(), Fault> {
    tx.prepare_cached("INSERT OR REPLACE INTO tag (reference, digest) VALUES (?1, ?2)")?
        .execute([key, digest.as_str()])?;
    Ok(())
}

fn tagged(tx: &Transaction<'_>, key: &str) -> Result<Option<Digest>, Fault> {
    let digest: Option<String> = tx
        .prepare_cached("SELECT digest FROM tag WHERE reference = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    Ok(digest.map(|digest| digest.parse()).transpose()?)
}

fn by_digest(tx: &Transaction<'_>, digest: &Digest) -> Result<ImageRecord, Fault> {
    tx.prepare_cached(&format!("{SELECT} WHERE digest = ?1"))?
        .query_row([digest.as_str()], |row| Ok(read(row)))
        .optional()?
        .unwrap_or_else(|| Err(no_such_image(digest.as_str()).into()))
}

fn containers_of(tx: &Transaction<'_>, digest: &Digest) -> Result<Vec<(ContainerId, ContainerName)>, Fault> {
    let mut statement =
        tx.prepare_cached("SELECT id, name FROM container WHERE image_digest = ?1 ORDER BY name")?;
    let mut rows = statement.query([digest.as_str()])?;
    let mut containers = Vec::new();
    while let Some(row) = rows.next()? {
        containers.push((row.get::<_, String>(0)?.parse()?, row.get::<_, String>(1)?.parse()?));
    }
    Ok(containers)
}

fn read(row: &Row<'_>) -> Result<ImageRecord, Fault> {
    let record: Record =
        serde_json::from_str(row.get_ref("record")?.as_str().map_err(rusqlite::Error::from)?)?;
    let tags: Option<String> = row.get("tags")?;
    Ok(ImageRecord {
        digest: row.get::<_, String>("digest")?.parse()?,
        media_type: record.media_type,
        manifest_size: record.manifest_size,
        id: row.get::<_, String>("id")?.parse()?,
        references: tags.unwrap_or_default().split_whitespace().map(str::parse).collect::<Result<_>>()?,
        created_at: from_nanoseconds(row.get("created_at")?),
        size: row.get::<_, i64>("size")?.unsigned_abs(),
        platform: record.platform,
        unpacked: row.get("unpacked")?,
        config: record.config,
    })
}

fn no_such_image(name: &str) -> Error {
    lookup::no_such("image", name)
}
