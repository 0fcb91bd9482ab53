//! What a run built, and on what (S4-26).

use std::fmt::Write;

use super::dockerfile::Bases;
use crate::client::registry::ImageName;

/// An image with its digest, where the registry said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) name: ImageName,
    pub(super) digest: Option<String>,
}

/// What one build step made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Built {
    pub(super) images: Vec<Image>,
    pub(super) runtime: Option<Image>,
    pub(super) buildtime: Vec<Image>,
    /// The commit that was built, if it came from git.
    pub(super) head: Option<String>,
}

impl Built {
    /// What is known before the build.
    pub(super) fn new(tags: &[String], bases: Bases, head: Option<String>) -> Self {
        let image = |text: String| ImageName::parse(&text).ok().map(|name| Image { name, digest: None });
        Self {
            images: tags.iter().cloned().filter_map(image).collect(),
            runtime: bases.runtime.and_then(image),
            buildtime: bases.buildtime.into_iter().filter_map(image).collect(),
            head,
        }
    }

    /// Those that it stands on.
    pub(super) fn bases(&mut self) -> impl Iterator<Item = &mut Image> {
        self.runtime.iter_mut().chain(&mut self.buildtime)
    }

    /// A block for each image, as ACR writes it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for image in &self.images {
            block(&mut text, "- image:", image);
            self.runtime.iter().for_each(|base| block(&mut text, "  runtime-dependency:", base));
            if !self.buildtime.is_empty() {
                line(&mut text, "  buildtime-dependency:");
                self.buildtime.iter().for_each(|base| properties(&mut text, "  - ", base));
            }
            if let Some(head) = &self.head {
                line(&mut text, "  git:");
                line(&mut text, &format!("    git-head-revision: {head}"));
            }
        }
        text
    }
}

fn block(text: &mut String, key: &str, image: &Image) {
    line(text, key);
    properties(text, "    ", image);
}

fn properties(text: &mut String, first: &str, image: &Image) {
    let Image { name, digest } = image;
    line(text, &format!("{first}registry: {}", name.registry.as_deref().unwrap_or("docker.io")));
    line(text, &format!("    repository: {}", name.repository));
    if let Ok(reference) = name.reference() {
        let key = if name.digest.is_none() { "tag" } else { "digest" };
        line(text, &format!("    {key}: {reference}"));
    }
    if let Some(digest) = digest.as_ref().filter(|_| name.digest.is_none()) {
        line(text, &format!("    digest: {digest}"));
    }
}

/// Writing to a `String` cannot fail.
fn line(text: &mut String, content: &str) {
    let _ = writeln!(text, "{content}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_the_seeds() {
        let bases = Bases {
            runtime: Some("mybaseregistry.azurecr.io/baseimages/node:15-alpine".into()),
            buildtime: vec!["node".into()],
        };
        let tags = ["myregistry.azurecr.io/hello-world:cf10".to_owned()];
        let mut built = Built::new(&tags, bases, Some("0f988779c97fe0bfc7f2f74b88531617f4421643".into()));
        built.images[0].digest = Some("sha256:611c".into());
        built.runtime.as_mut().unwrap().digest = Some("sha256:e8e9".into());
        let expected = "\
- image:
    registry: myregistry.azurecr.io
    repository: hello-world
    tag: cf10
    digest: sha256:611c
  runtime-dependency:
    registry: mybaseregistry.azurecr.io
    repository: baseimages/node
    tag: 15-alpine
    digest: sha256:e8e9
  buildtime-dependency:
  - registry: docker.io
    repository: node
    tag: latest
  git:
    git-head-revision: 0f988779c97fe0bfc7f2f74b88531617f4421643
";
        assert_eq!(built.text(), expected);
    }
}
