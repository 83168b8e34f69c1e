//! `bindery-worker`: does one stage of one book, reports every unit through Redis, and goes on where an earlier one
//! stopped.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use bindery_demo::text::story::Story;
use bindery_demo::work::engine::Run;
use bindery_demo::work::files::BookDir;
use bindery_demo::work::reporter::Stream;
use bindery_demo::work::resume::ResumePoint;
use bindery_demo::work::stage::Stage;
use bindery_demo::work::{analyzing, drawing, generating};
use clap::Parser;
use uuid::Uuid;

/// Does one stage of one book.
#[derive(Parser)]
#[command(name = "bindery-worker", version)]
struct Args {
    /// The stage to work in.
    #[arg(long, value_enum)]
    stage: Stage,
    /// The book's id.
    #[arg(long)]
    book_id: Uuid,
    /// The book's text.
    #[arg(long)]
    story: PathBuf,
    /// The folder under which the book's own folder lies.
    #[arg(long)]
    out: PathBuf,
    /// Where Redis is.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis_url: String,
    /// The stream that events go to.
    #[arg(long, default_value = "bindery:events")]
    stream: String,
    /// Where to go on from: what bindery.get_resume_point answers. From the beginning, if left out.
    #[arg(long, value_name = "JSON")]
    resume_point: Option<String>,
}

fn main() -> ExitCode {
    match work(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bindery-worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work(args: &Args) -> Result<()> {
    let resume = match &args.resume_point {
        Some(json) => serde_json::from_str(json).context("--resume-point is not a resume point")?,
        None => ResumePoint::fresh(args.book_id, args.stage.name()),
    };
    if resume.book_id != args.book_id || resume.stage != args.stage.name() {
        bail!("the resume point is for {} in {}", resume.book_id, resume.stage);
    }
    let dir = BookDir::new(&args.out, &args.story, args.book_id);
    let _lock = dir.lock()?;
    let mut reporter = Stream::new(&args.redis_url, &args.stream)?;
    let mut run = Run {
        book: args.book_id,
        stage: args.stage,
        dir: &dir,
        resume: &resume,
        reporter: &mut reporter,
    };
    match args.stage {
        Stage::Analyzing => {
            let text = std::fs::read_to_string(&args.story);
            let text = text.with_context(|| format!("cannot read {}", args.story.display()))?;
            let story = Story::parse(&text)?;
            run.run(&analyzing::substeps(&story, &dir)?)
        }
        Stage::GeneratingScenes => run.run(&generating::substeps(&dir)?),
        Stage::CreatingArtwork => {
            let script = drawing::script(&dir)?;
            run.run(&drawing::substeps(&script, &dir)?)
        }
    }
}
