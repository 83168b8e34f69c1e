//! A book's folder: what the stages hand to each other.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// A book's folder under the output folder.
#[derive(Debug, Clone)]
pub struct BookDir(PathBuf);

impl BookDir {
    /// The folder of a book: named after its story's file, and told apart by its id.
    pub fn new(out: &Path, story: &Path, book: Uuid) -> Self {
        let stem = story.file_stem().unwrap_or_default().to_string_lossy();
        let id = book.simple().to_string();
        Self(out.join(format!("{stem}-{}", &id[..8])))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A page as the first stage read it.
    pub fn page(&self, number: usize) -> PathBuf {
        self.0.join(format!("pages/page_{number:02}.json"))
    }

    /// A chapter.
    pub fn chapter(&self, number: usize) -> PathBuf {
        self.0.join(format!("chapters/chapter_{number}.json"))
    }

    /// A chapter's census of names.
    pub fn census(&self, number: usize) -> PathBuf {
        self.0.join(format!("census/chapter_{number}.json"))
    }

    /// What the first stage found out.
    pub fn analysis(&self) -> PathBuf {
        self.0.join("analysis.json")
    }

    /// A chapter's scenes.
    pub fn chapter_scenes(&self, number: usize) -> PathBuf {
        self.0.join(format!("scenes/chapter_{number}.json"))
    }

    /// A scene's prompt.
    pub fn prompt(&self, scene: usize) -> PathBuf {
        self.0.join(format!("prompts/scene_{scene:02}.json"))
    }

    /// All prompts: what the second stage hands to the third.
    pub fn scenes(&self) -> PathBuf {
        self.0.join("scenes.json")
    }

    /// A scene's panel.
    pub fn panel(&self, scene: usize) -> PathBuf {
        self.0.join(format!("panels/panel_{scene:02}.svg"))
    }

    /// The comic.
    pub fn comic(&self) -> PathBuf {
        self.0.join("comic.html")
    }

    /// The log of finished units.
    pub fn log(&self) -> PathBuf {
        self.0.join("work.log")
    }

    /// Makes the folder this worker's own while the result lives: two workers on one book would do its units twice.
    /// The system gives the lock back when a process dies, however it dies.
    pub fn lock(&self) -> Result<File> {
        fs::create_dir_all(&self.0)
            .with_context(|| format!("cannot create {}", self.0.display()))?;
        let path = self.0.join(".lock");
        let file =
            File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        if file.try_lock().is_err() {
            bail!("another worker is at work in {}", self.0.display());
        }
        Ok(file)
    }
}

/// Writes a file so that it is there whole or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        // Before the name: a power cut must not leave a whole name on half a file.
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Reads what another unit wrote.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is not what it should be", path.display()))
}

/// What a unit writes.
pub fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_and_a_folder_has_one_worker() {
        let out = tempfile::tempdir().unwrap();
        let dir = BookDir::new(out.path(), Path::new("books/a-tale.txt"), Uuid::nil());
        assert!(dir.path().ends_with("a-tale-00000000"));
        write_whole(&dir.page(1), &to_json(&[1, 2]).unwrap()).unwrap();
        assert_eq!(read_json::<Vec<u32>>(&dir.page(1)).unwrap(), [1, 2]);
        assert_eq!(
            fs::read_dir(dir.page(1).parent().unwrap()).unwrap().count(),
            1,
            "no .part is left"
        );

        let first = dir.lock().unwrap();
        assert!(dir.lock().is_err());
        drop(first);
        dir.lock().unwrap();
    }
}
