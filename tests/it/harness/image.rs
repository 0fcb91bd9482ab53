//! Images made here: no network, no tools, the same bytes every time.
//!
//! A [`Layout`] is a set of blobs with one root: a multi-layer image, a multi-arch index, or an artifact that refers to
//! another manifest. It is written as an OCI image layout, as a folder or as an archive, which every client can read.
//! Layers are gzip without compression, so that clients send them as they are and digests survive.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Points to a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) media_type: &'static str,
    pub(crate) digest: String,
    pub(crate) size: usize,
}

impl Descriptor {
    fn json(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.size})
    }
}

/// Blobs, and the manifest or index that holds them together.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    blobs: BTreeMap<String, Vec<u8>>,
    root: Descriptor,
    /// Of an index: the images it lists, by architecture.
    images: Vec<(&'static str, Layout)>,
}

impl Layout {
    /// An image for this machine with three layers; different words make different images.
    pub(crate) fn image(words: &str) -> Self {
        Self::image_for(architecture(), words)
    }

    /// An index of two images, one for this machine's architecture and one for another.
    pub(crate) fn index(words: &str) -> Self {
        let images = ["amd64", "arm64"].map(|one| (one, Self::image_for(one, &format!("{words} on {one}"))));
        let mut layout = Self::new();
        let mut manifests = Vec::new();
        for (architecture, image) in &images {
            layout.blobs.extend(image.blobs.clone());
            let mut entry = image.root.json();
            entry["platform"] = json!({"architecture": architecture, "os": "linux"});
            manifests.push(entry);
        }
        layout.root = layout.add_json(INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}));
        layout.images = images.to_vec();
        layout
    }

    /// An artifact about another manifest, as signatures and bills of materials are.
    pub(crate) fn artifact(subject: &Descriptor, artifact_type: &str) -> Self {
        let mut layout = Self::new();
        let empty = layout.add(EMPTY, b"{}".to_vec());
        layout.root = layout.add_json(
            MANIFEST,
            &json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact_type,
                "config": empty.json(), "layers": [empty.json()], "subject": subject.json(),
            }),
        );
        layout
    }

    fn image_for(architecture: &str, words: &str) -> Self {
        let mut layout = Self::new();
        let mut layers = Vec::new();
        let mut differences = Vec::new();
        for name in ["base", "middle", "top"] {
            let archive = tar(&[(&format!("{name}.txt"), format!("{words}: {name}\n").as_bytes())]);
            differences.push(digest(&archive));
            layers.push(layout.add(LAYER, gzip(&archive)).json());
        }
        let config = layout.add_json(
            CONFIG,
            &json!({
                "created": "1970-01-01T00:00:00Z", "architecture": architecture, "os": "linux",
                "config": {"Cmd": ["/none"]},
                "rootfs": {"type": "layers", "diff_ids": differences},
                "history": differences.iter().map(|_| json!({"created": "1970-01-01T00:00:00Z"})).collect::<Vec<_>>(),
            }),
        );
        layout.root = layout.add_json(
            MANIFEST,
            &json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config.json(), "layers": layers}),
        );
        layout
    }

    fn new() -> Self {
        let root = Descriptor { media_type: MANIFEST, digest: String::new(), size: 0 };
        Self { blobs: BTreeMap::new(), root, images: Vec::new() }
    }

    fn add(&mut self, media_type: &'static str, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor { media_type, digest: digest(&bytes), size: bytes.len() };
        self.blobs.insert(descriptor.digest.clone(), bytes);
        descriptor
    }

    fn add_json(&mut self, media_type: &'static str, value: &Value) -> Descriptor {
        self.add(media_type, value.to_string().into_bytes())
    }

    /// The manifest or index.
    pub(crate) fn root(&self) -> &Descriptor {
        &self.root
    }

    pub(crate) fn root_bytes(&self) -> &[u8] {
        &self.blobs[&self.root.digest]
    }

    /// Everything below the root, by digest.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let all = self.blobs.iter().map(|(digest, bytes)| (digest.as_str(), bytes.as_slice()));
        all.filter(|(digest, _)| *digest != self.root.digest)
    }

    /// Of an index: the images it lists with their architectures; empty for an image.
    pub(crate) fn images(&self) -> &[(&'static str, Layout)] {
        &self.images
    }

    /// The files of an OCI image layout whose only image has this tag and, for containerd, this name.
    fn files(&self, tag: &str, name: &str) -> Vec<(String, Vec<u8>)> {
        let mut entry = self.root.json();
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag, "io.containerd.image.name": name});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
        let mut files = vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), index.to_string().into_bytes()),
        ];
        for (digest, bytes) in &self.blobs {
            files.push((format!("blobs/{}", digest.replace(':', "/")), bytes.clone()));
        }
        files
    }

    /// Writes a folder that clients read as `oci:DIRECTORY:TAG`.
    pub(crate) fn write(&self, directory: &Path, tag: &str) {
        for (name, bytes) in self.files(tag, tag) {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// Writes an archive that containerd imports as `name`.
    pub(crate) fn write_archive(&self, path: &Path, name: &str) {
        let files = self.files("latest", name);
        let entries: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        fs::write(path, tar(&entries)).unwrap();
    }
}

/// This machine's architecture in the registry's words.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `sha256:` and the hash of these bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// A ustar archive of plain files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, bytes) in files {
        let mut header = [0; 512];
        let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        put(0, name.as_bytes());
        put(100, b"0000644\0");
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{:011o}\0", bytes.len()).as_bytes());
        put(136, b"00000000000\0");
        // The checksum counts itself as spaces.
        put(148, b"        ");
        put(156, b"0");
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte: &u8| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// RFC 1952 around stored blocks (RFC 1951, 3.2.4).
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap();
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&crc32(bytes).to_le_bytes());
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}
