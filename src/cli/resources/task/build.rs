//! The words behind `build:`: options of `docker build`, and the context.

/// What one build is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Build {
    /// At least one.
    pub(super) tags: Vec<String>,
    /// Relative to the context.
    pub(super) file: Option<String>,
    /// Names with their values.
    pub(super) arguments: Vec<(String, String)>,
    pub(super) target: Option<String>,
    pub(super) labels: Vec<String>,
    pub(super) platform: Option<String>,
    pub(super) no_cache: bool,
    /// A path below the working directory, or a git repository.
    pub(super) context: String,
}

impl Build {
    /// Reads the words. Nothing is passed on to the program that builds without being understood.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn read(words: Vec<String>) -> Result<Self, String> {
        let mut build = Self::default();
        let mut contexts = Vec::new();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            if !word.starts_with('-') || word == "-" {
                contexts.push(word);
                continue;
            }
            let (name, value) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
                _ => (word, None),
            };
            build.option(&name, value.as_deref(), &mut words)?;
        }
        if build.tags.is_empty() {
            return Err("a build has at least one -t REPOSITORY:TAG".to_owned());
        }
        match <[String; 1]>::try_from(contexts) {
            Ok([context]) if !context.starts_with('-') => Ok(Self { context, ..build }),
            Ok(_) | Err(_) => Err("a build has one context: `.`, a directory, or a git repository".to_owned()),
        }
    }

    fn option(
        &mut self,
        name: &str,
        given: Option<&str>,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        let mut value =
            || given.map(str::to_owned).or_else(|| words.next()).ok_or_else(|| format!("{name} has no value"));
        match name {
            "-t" | "--tag" => self.tags.push(value()?),
            "-f" | "--file" => self.file = Some(value()?),
            "--target" => self.target = Some(value()?),
            "--platform" => self.platform = Some(value()?),
            "--label" => self.labels.push(value()?),
            "--build-arg" => self.arguments.push(argument(&value()?)?),
            "--no-cache" => self.no_cache = true,
            _ => {
                return Err(format!(
                    "the option {name} is not supported: there are -t, -f, --build-arg, --target, --platform, --label and \
                     --no-cache"
                ));
            }
        }
        Ok(())
    }
}

/// `NAME=VALUE`. A name alone would be read from the environment of whoever runs this.
pub(super) fn argument(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !name.starts_with('-') => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::split;
    use super::*;

    /// S4-10.
    #[test]
    fn the_build_of_the_seeds() {
        let text = "-t r/hello-world:cf10 https://github.com/Azure-Samples/acr-build-helloworld-node.git#main -f \
                    Dockerfile-app --build-arg REGISTRY_NAME=mybaseregistry.azurecr.io";
        let expected = Build {
            tags: vec!["r/hello-world:cf10".into()],
            file: Some("Dockerfile-app".into()),
            arguments: vec![("REGISTRY_NAME".into(), "mybaseregistry.azurecr.io".into())],
            context: "https://github.com/Azure-Samples/acr-build-helloworld-node.git#main".into(),
            ..Build::default()
        };
        assert_eq!(Build::read(split(text).unwrap()), Ok(expected));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "-t a:b",
            ".",
            "-t a:b . .",
            "-t a:b . --privileged",
            "-t a:b --volume=/:/host .",
            "-t a:b . -f",
            "-t a:b . --build-arg HOME",
            "-t a:b -",
        ] {
            assert!(Build::read(split(text).unwrap()).is_err(), "{text}");
        }
        let equals =
            Build::read(split("--tag=a:b --no-cache --target=x --label l=m --platform linux/arm64 .").unwrap());
        let equals = equals.unwrap();
        assert_eq!((equals.target.as_deref(), equals.no_cache, equals.labels.len()), (Some("x"), true, 1));
    }
}
