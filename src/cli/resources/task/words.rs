//! The words of a step: split as a shell splits them, and their variables.
//!
//! A word is split before its variables are replaced, so that no value becomes two words. No shell ever sees them.

use std::collections::BTreeMap;

/// What the variables of one run stand for (S4-10).
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    /// `$Registry` and `{{.Run.Registry}}`: the login server.
    pub(super) registry: String,
    /// `$RegistryName` and `{{.Run.RegistryName}}`.
    pub(super) registry_name: String,
    /// `$ID` and `{{.Run.ID}}`.
    pub(super) id: String,
    /// `$Date` and `{{.Run.Date}}`.
    pub(super) date: String,
    /// `{{.Run.TaskName}}`.
    pub(super) task_name: String,
    /// `{{.Values.NAME}}`, of `--set`. `None` while they are not known yet: every name will do.
    pub(super) values: Option<BTreeMap<String, String>>,
}

const ALIASES: &str = "$Registry, $RegistryName, $ID, $Date, $OS, $Architecture";

impl Variables {
    /// `text` with every variable replaced; `$$` is a dollar.
    ///
    /// # Errors
    /// A sentence that names the variable that there is not.
    pub(super) fn expand(&self, text: &str) -> Result<String, String> {
        let mut done = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['$', '{']) {
            let (before, from) = rest.split_at(at);
            done.push_str(before);
            rest = if let Some(after) = from.strip_prefix("{{") {
                let (inside, after) = after.split_once("}}").ok_or("`{{` has no `}}`")?;
                done.push_str(&self.template(inside.trim())?);
                after
            } else if let Some(after) = from.strip_prefix("$$") {
                done.push('$');
                after
            } else if let Some(after) = from.strip_prefix('$') {
                let length = after.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
                let (name, after) = after.split_at(length);
                done.push_str(&self.alias(name)?);
                after
            } else {
                done.push('{');
                from.strip_prefix('{').unwrap_or_default()
            };
        }
        done.push_str(rest);
        Ok(done)
    }

    fn alias(&self, name: &str) -> Result<String, String> {
        let known = self.of_run(name).filter(|_| name != "TaskName");
        known.ok_or_else(|| format!("there is no variable `${name}`: write {ALIASES}, or `$$` for a dollar"))
    }

    fn template(&self, inside: &str) -> Result<String, String> {
        if let Some(name) = inside.strip_prefix(".Run.") {
            return self.of_run(name).ok_or_else(|| format!("there is no variable `{{{{.Run.{name}}}}}`"));
        }
        let Some(name) = inside.strip_prefix(".Values.") else {
            return Err(format!(
                "`{{{{{inside}}}}}` is not understood: write {{{{.Run.NAME}}}} or {{{{.Values.NAME}}}}"
            ));
        };
        match &self.values {
            None => Ok(name.to_owned()),
            Some(values) => {
                values.get(name).cloned().ok_or_else(|| format!("{name} has no value: give it with --set {name}=VALUE"))
            }
        }
    }

    fn of_run(&self, name: &str) -> Option<String> {
        Some(match name {
            "Registry" => self.registry.clone(),
            "RegistryName" => self.registry_name.clone(),
            "ID" => self.id.clone(),
            "Date" => self.date.clone(),
            "TaskName" => self.task_name.clone(),
            "OS" => std::env::consts::OS.to_owned(),
            "Architecture" => architecture().to_owned(),
            _ => return None,
        })
    }
}

/// This machine's, as registries call it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The words of `text`: separated by white space, quoted with `'` or `"`; within the latter and outside, `\` takes the next
/// character as it is.
///
/// # Errors
/// A sentence about a quote or a template that does not end.
pub(super) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text;
    while let Some(one) = rest.chars().next() {
        let after = rest.get(one.len_utf8()..).unwrap_or_default();
        if one.is_whitespace() {
            words.extend(word.take());
            rest = after;
            continue;
        }
        let word = word.get_or_insert_default();
        rest = match one {
            '\'' => {
                let (quoted, after) = after.split_once('\'').ok_or("a ' has no end")?;
                word.push_str(quoted);
                after
            }
            '"' => in_quotes(after, word)?,
            '\\' => escaped(after, word)?,
            '{' if after.starts_with('{') => {
                let end = rest.find("}}").ok_or("`{{` has no `}}`")?;
                let (template, after) = rest.split_at(end.saturating_add(2));
                word.push_str(template);
                after
            }
            plain => {
                word.push(plain);
                after
            }
        };
    }
    words.extend(word);
    Ok(words)
}

/// What follows the closing quote.
fn in_quotes<'a>(mut rest: &'a str, word: &mut String) -> Result<&'a str, String> {
    loop {
        let end = rest.find(['"', '\\']).ok_or("a \" has no end")?;
        let (plain, from) = rest.split_at(end);
        word.push_str(plain);
        if let Some(after) = from.strip_prefix('"') {
            return Ok(after);
        }
        rest = escaped(from.strip_prefix('\\').unwrap_or_default(), word)?;
    }
}

/// What follows the character that a backslash stands before.
fn escaped<'a>(rest: &'a str, word: &mut String) -> Result<&'a str, String> {
    let one = rest.chars().next().ok_or("a \\ has nothing behind it")?;
    word.push(one);
    Ok(rest.get(one.len_utf8()..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        Variables {
            registry: "myregistry.example.com".into(),
            registry_name: "myregistry".into(),
            id: "cf10".into(),
            date: "20190614-224732z".into(),
            task_name: "helloworldtask".into(),
            values: Some(BTreeMap::from([("tag".to_owned(), "a b $ID".to_owned())])),
        }
    }

    #[test]
    fn variables_are_replaced_once() {
        let table = [
            ("$Registry/hello-world:$ID", "myregistry.example.com/hello-world:cf10"),
            ("{{.Run.Registry}}/x:{{ .Run.ID }}", "myregistry.example.com/x:cf10"),
            ("{{.Values.tag}}", "a b $ID"),
            ("$$ID {x} {{.Run.TaskName}}", "$ID {x} helloworldtask"),
            ("$RegistryName-$Date", "myregistry-20190614-224732z"),
        ];
        for (text, expected) in table {
            assert_eq!(variables().expand(text).as_deref(), Ok(expected), "{text}");
        }
        for wrong in ["$Nothing", "$", "${ID}", "{{.Run.Nothing}}", "{{.Values.no}}", "{{env}}", "{{.Run.ID"] {
            assert!(variables().expand(wrong).is_err(), "{wrong}");
        }
        let not_known_yet = Variables { values: None, ..variables() };
        assert_eq!(not_known_yet.expand("{{.Values.any}}").as_deref(), Ok("any"));
    }

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        let table: [(&str, &[&str]); 6] = [
            (" -t  $Registry/a:$ID\t. ", &["-t", "$Registry/a:$ID", "."]),
            ("a 'b c' \"d \\\" e\" f\\ g", &["a", "b c", "d \" e", "f g"]),
            ("--build-arg X='y z'w", &["--build-arg", "X=y zw"]),
            ("{{ .Run.ID }} x", &["{{ .Run.ID }}", "x"]),
            ("'' \"\"", &["", ""]),
            ("", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(split(text).unwrap(), expected, "{text}");
        }
        for wrong in ["'", "a \"b", "\\", "{{ a", "\"a\\"] {
            assert!(split(wrong).is_err(), "{wrong}");
        }
    }
}
