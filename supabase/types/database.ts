// Made by the Supabase CLI (gen types) of the migration, through scripts/supabase.sh generate. Do not edit.
export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[];

export type Database = {
  bindery: {
    Tables: {
      book_events: {
        Row: {
          actor: string;
          at: string;
          attempt: number;
          book_id: string;
          data: Json | null;
          from_status: string | null;
          kind: string;
          message: string | null;
          revision: number;
          stage: string;
          to_status: string;
        };
        ComputedFields: never;
        Insert: {
          actor: string;
          at: string;
          attempt: number;
          book_id: string;
          data?: Json | null;
          from_status?: string | null;
          kind: string;
          message?: string | null;
          revision: number;
          stage: string;
          to_status: string;
        };
        Update: {
          actor?: string;
          at?: string;
          attempt?: number;
          book_id?: string;
          data?: Json | null;
          from_status?: string | null;
          kind?: string;
          message?: string | null;
          revision?: number;
          stage?: string;
          to_status?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'event_belongs_to_a_book';
            columns: ['book_id'];
            isOneToOne: false;
            referencedRelation: 'book_status';
            referencedColumns: ['book_id'];
          },
        ];
      };
      book_progress: {
        Row: {
          attempt: number;
          book_id: string;
          checkpoint: Json | null;
          done: number | null;
          message: string | null;
          points: number;
          progress: number;
          revision: number;
          stage: string;
          started_at: string | null;
          substep: string;
          total: number | null;
          unit: string | null;
          updated_at: string;
          weight: number;
        };
        ComputedFields: never;
        Insert: {
          attempt?: number;
          book_id: string;
          checkpoint?: Json | null;
          done?: number | null;
          message?: string | null;
          points?: number;
          progress?: number;
          revision?: number;
          stage: string;
          started_at?: string | null;
          substep: string;
          total?: number | null;
          unit?: string | null;
          updated_at: string;
          weight?: number;
        };
        Update: {
          attempt?: number;
          book_id?: string;
          checkpoint?: Json | null;
          done?: number | null;
          message?: string | null;
          points?: number;
          progress?: number;
          revision?: number;
          stage?: string;
          started_at?: string | null;
          substep?: string;
          total?: number | null;
          unit?: string | null;
          updated_at?: string;
          weight?: number;
        };
        Relationships: [
          {
            foreignKeyName: 'progress_belongs_to_a_book';
            columns: ['book_id'];
            isOneToOne: false;
            referencedRelation: 'book_status';
            referencedColumns: ['book_id'];
          },
        ];
      };
      book_status: {
        Row: {
          attempt: number;
          book_id: string;
          completed_at: string | null;
          created_at: string;
          current_stage: string;
          error: Json | null;
          estimated_completion_at: string | null;
          heartbeat_at: string;
          message: string | null;
          metadata: NonNullable<Json>;
          overall_progress: number;
          owner_id: string | null;
          pipeline: string;
          pipeline_version: number;
          resume_at: string | null;
          revision: number;
          stage_base: number;
          stage_entered_at: string;
          stage_progress: number;
          stage_share: number;
          stage_started_at: string;
          status: string;
          substeps_done: number;
          substeps_points: number;
          substeps_total: number;
          substeps_weight: number;
          title: string | null;
          updated_at: string;
        };
        ComputedFields: never;
        Insert: {
          attempt?: number;
          book_id: string;
          completed_at?: string | null;
          created_at: string;
          current_stage: string;
          error?: Json | null;
          estimated_completion_at?: string | null;
          heartbeat_at: string;
          message?: string | null;
          metadata?: NonNullable<Json>;
          overall_progress?: number;
          owner_id?: string | null;
          pipeline?: string;
          pipeline_version: number;
          resume_at?: string | null;
          revision?: number;
          stage_base?: number;
          stage_entered_at: string;
          stage_progress?: number;
          stage_share?: number;
          stage_started_at: string;
          status: string;
          substeps_done?: number;
          substeps_points?: number;
          substeps_total?: number;
          substeps_weight?: number;
          title?: string | null;
          updated_at: string;
        };
        Update: {
          attempt?: number;
          book_id?: string;
          completed_at?: string | null;
          created_at?: string;
          current_stage?: string;
          error?: Json | null;
          estimated_completion_at?: string | null;
          heartbeat_at?: string;
          message?: string | null;
          metadata?: NonNullable<Json>;
          overall_progress?: number;
          owner_id?: string | null;
          pipeline?: string;
          pipeline_version?: number;
          resume_at?: string | null;
          revision?: number;
          stage_base?: number;
          stage_entered_at?: string;
          stage_progress?: number;
          stage_share?: number;
          stage_started_at?: string;
          status?: string;
          substeps_done?: number;
          substeps_points?: number;
          substeps_total?: number;
          substeps_weight?: number;
          title?: string | null;
          updated_at?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'book_follows_a_pipeline';
            columns: ['pipeline', 'pipeline_version'];
            isOneToOne: false;
            referencedRelation: 'pipelines';
            referencedColumns: ['name', 'version'];
          },
        ];
      };
      dead_letters: {
        Row: {
          at: string;
          book_id: string | null;
          count: number;
          event_id: string | null;
          first_event_id: string | null;
          id: number;
          message: string;
          payload: NonNullable<Json>;
          reason: string;
          replayed_at: string | null;
          stream: string;
          truncated: boolean;
        };
        ComputedFields: never;
        Insert: {
          at: string;
          book_id?: string | null;
          count?: number;
          event_id?: string | null;
          first_event_id?: string | null;
          id?: never;
          message: string;
          payload: NonNullable<Json>;
          reason: string;
          replayed_at?: string | null;
          stream: string;
          truncated?: boolean;
        };
        Update: {
          at?: string;
          book_id?: string | null;
          count?: number;
          event_id?: string | null;
          first_event_id?: string | null;
          id?: never;
          message?: string;
          payload?: NonNullable<Json>;
          reason?: string;
          replayed_at?: string | null;
          stream?: string;
          truncated?: boolean;
        };
        Relationships: [];
      };
      early_events: {
        Row: {
          at: string;
          book_id: string;
          count: number;
          event_id: string | null;
          first_event_id: string | null;
          id: number;
          message: string;
          payload: NonNullable<Json>;
          reason: string;
          stream: string;
        };
        ComputedFields: never;
        Insert: {
          at: string;
          book_id: string;
          count?: number;
          event_id?: string | null;
          first_event_id?: string | null;
          id?: never;
          message: string;
          payload: NonNullable<Json>;
          reason: string;
          stream: string;
        };
        Update: {
          at?: string;
          book_id?: string;
          count?: number;
          event_id?: string | null;
          first_event_id?: string | null;
          id?: never;
          message?: string;
          payload?: NonNullable<Json>;
          reason?: string;
          stream?: string;
        };
        Relationships: [];
      };
      outbox: {
        Row: {
          book_id: string;
          created_at: string;
          id: number;
          kind: string;
          message_id: string;
          payload: NonNullable<Json>;
          revision: number;
        };
        ComputedFields: never;
        Insert: {
          book_id: string;
          created_at: string;
          id?: never;
          kind: string;
          message_id?: string;
          payload: NonNullable<Json>;
          revision: number;
        };
        Update: {
          book_id?: string;
          created_at?: string;
          id?: never;
          kind?: string;
          message_id?: string;
          payload?: NonNullable<Json>;
          revision?: number;
        };
        Relationships: [];
      };
      pipelines: {
        Row: {
          created_at: string;
          definition: NonNullable<Json>;
          machine: NonNullable<Json>;
          name: string;
          version: number;
        };
        ComputedFields: never;
        Insert: {
          created_at?: string;
          definition: NonNullable<Json>;
          machine: NonNullable<Json>;
          name: string;
          version: number;
        };
        Update: {
          created_at?: string;
          definition?: NonNullable<Json>;
          machine?: NonNullable<Json>;
          name?: string;
          version?: number;
        };
        Relationships: [];
      };
      relay_cursors: {
        Row: {
          applied: number;
          applied_at: string | null;
          caught_up_at: string | null;
          created_at: string;
          early: number;
          entries_ahead: number | null;
          epoch: number;
          holder: string | null;
          last_loss: string | null;
          lease_expires_at: string | null;
          lease_ttl: string;
          losses: number;
          lost: number;
          lost_at: string | null;
          position: string;
          rejected: number;
          stale: number;
          stream: string;
        };
        ComputedFields: never;
        Insert: {
          applied?: number;
          applied_at?: string | null;
          caught_up_at?: string | null;
          created_at?: string;
          early?: number;
          entries_ahead?: number | null;
          epoch?: number;
          holder?: string | null;
          last_loss?: string | null;
          lease_expires_at?: string | null;
          lease_ttl?: string;
          losses?: number;
          lost?: number;
          lost_at?: string | null;
          position?: string;
          rejected?: number;
          stale?: number;
          stream: string;
        };
        Update: {
          applied?: number;
          applied_at?: string | null;
          caught_up_at?: string | null;
          created_at?: string;
          early?: number;
          entries_ahead?: number | null;
          epoch?: number;
          holder?: string | null;
          last_loss?: string | null;
          lease_expires_at?: string | null;
          lease_ttl?: string;
          losses?: number;
          lost?: number;
          lost_at?: string | null;
          position?: string;
          rejected?: number;
          stale?: number;
          stream?: string;
        };
        Relationships: [];
      };
      settings: {
        Row: {
          broadcast: boolean;
          broadcast_every: string;
          broadcasts_per_second: number;
          dead_letters_total: number;
          early_events_per_book: number;
          early_events_total: number;
          notify: boolean;
          only_row: boolean;
          patience: string;
        };
        ComputedFields: never;
        Insert: {
          broadcast?: boolean;
          broadcast_every?: string;
          broadcasts_per_second?: number;
          dead_letters_total?: number;
          early_events_per_book?: number;
          early_events_total?: number;
          notify?: boolean;
          only_row?: boolean;
          patience?: string;
        };
        Update: {
          broadcast?: boolean;
          broadcast_every?: string;
          broadcasts_per_second?: number;
          dead_letters_total?: number;
          early_events_per_book?: number;
          early_events_total?: number;
          notify?: boolean;
          only_row?: boolean;
          patience?: string;
        };
        Relationships: [];
      };
      stage_visits: {
        Row: {
          attempt: number;
          book_id: string;
          entered_at: string;
          left_at: string;
          seconds: number | null;
          stage: string;
        };
        ComputedFields: never;
        Insert: {
          attempt: number;
          book_id: string;
          entered_at: string;
          left_at: string;
          seconds?: number | null;
          stage: string;
        };
        Update: {
          attempt?: number;
          book_id?: string;
          entered_at?: string;
          left_at?: string;
          seconds?: number | null;
          stage?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'visit_belongs_to_a_book';
            columns: ['book_id'];
            isOneToOne: false;
            referencedRelation: 'book_status';
            referencedColumns: ['book_id'];
          },
        ];
      };
    };
    Views: {
      [_ in never]: never;
    };
    Functions: {
      acquire_stream: {
        Args: { holder: string; stream: string; ttl?: string };
        Returns: {
          caught_up_at: string;
          entries: number;
          epoch: number;
          lease_expires_at: string;
          position: string;
        }[];
      };
      announce_relay: { Args: { holder: string; streams: string[]; ttl?: string }; Returns: Record<string, unknown> };
      apply_events: {
        Args: {
          attempts?: number[];
          book_ids?: string[];
          checkpoints?: string[];
          counts?: number[];
          done?: number[];
          epoch: number;
          events?: Json;
          first_ids?: string[];
          ids?: string[];
          messages?: string[];
          position: string;
          progress?: number[];
          segments?: number[];
          stages?: string[];
          stream: string;
          substeps?: string[];
          totals?: number[];
          units?: string[];
        };
        Returns: {
          applied: number;
          early: number;
          rejected: number;
          stale: number;
        }[];
      };
      begin_stage: { Args: { attempt?: number; book_id: string; resume?: boolean; to_status: string; worker?: string }; Returns: Json };
      cancel_book: {
        Args: { book_id: string; expected_revision?: number; message?: string };
        Returns: {
          attempt: number;
          book_id: string;
          completed_at: string | null;
          created_at: string;
          current_stage: string;
          error: Json | null;
          estimated_completion_at: string | null;
          heartbeat_at: string;
          message: string | null;
          metadata: NonNullable<Json>;
          overall_progress: number;
          owner_id: string | null;
          pipeline: string;
          pipeline_version: number;
          resume_at: string | null;
          revision: number;
          stage_base: number;
          stage_entered_at: string;
          stage_progress: number;
          stage_share: number;
          stage_started_at: string;
          status: string;
          substeps_done: number;
          substeps_points: number;
          substeps_total: number;
          substeps_weight: number;
          title: string | null;
          updated_at: string;
        };
        SetofOptions: {
          from: '*';
          to: 'book_status';
          isOneToOne: true;
          isSetofReturn: true;
        };
      };
      cancel_books: {
        Args: { book_ids: string[]; dry_run?: boolean; message?: string };
        Returns: {
          book_id: string;
          code: string;
          outcome: string;
          reason: string;
        }[];
      };
      dead_letter_reasons: {
        Args: { after?: string; max_letters?: number; stream: string };
        Returns: {
          events: number;
          letters: number;
          reason: string;
        }[];
      };
      define_pipeline: { Args: { definition: Json; name: string }; Returns: number };
      drop_dead_letters: { Args: { ids: number[] }; Returns: number };
      early_backlog: { Args: Record<PropertyKey, never>; Returns: Record<string, unknown> };
      fail_book: {
        Args: { attempt?: number; book_id: string; error?: Json; expected_revision?: number; message?: string; stage?: string };
        Returns: {
          attempt: number;
          book_id: string;
          completed_at: string | null;
          created_at: string;
          current_stage: string;
          error: Json | null;
          estimated_completion_at: string | null;
          heartbeat_at: string;
          message: string | null;
          metadata: NonNullable<Json>;
          overall_progress: number;
          owner_id: string | null;
          pipeline: string;
          pipeline_version: number;
          resume_at: string | null;
          revision: number;
          stage_base: number;
          stage_entered_at: string;
          stage_progress: number;
          stage_share: number;
          stage_started_at: string;
          status: string;
          substeps_done: number;
          substeps_points: number;
          substeps_total: number;
          substeps_weight: number;
          title: string | null;
          updated_at: string;
        };
        SetofOptions: {
          from: '*';
          to: 'book_status';
          isOneToOne: true;
          isSetofReturn: true;
        };
      };
      forget_stream: { Args: { stream: string }; Returns: undefined };
      get_book_changes: { Args: { book_id: string; since_revision: number }; Returns: Json };
      get_book_status: { Args: { book_id: string }; Returns: Json };
      get_resume_point: { Args: { after?: string; book_id: string }; Returns: Json };
      heartbeat: {
        Args: { attempt?: number; book_id: string; stage?: string };
        Returns: {
          attempt: number;
          book_id: string;
          completed_at: string | null;
          created_at: string;
          current_stage: string;
          error: Json | null;
          estimated_completion_at: string | null;
          heartbeat_at: string;
          message: string | null;
          metadata: NonNullable<Json>;
          overall_progress: number;
          owner_id: string | null;
          pipeline: string;
          pipeline_version: number;
          resume_at: string | null;
          revision: number;
          stage_base: number;
          stage_entered_at: string;
          stage_progress: number;
          stage_share: number;
          stage_started_at: string;
          status: string;
          substeps_done: number;
          substeps_points: number;
          substeps_total: number;
          substeps_weight: number;
          title: string | null;
          updated_at: string;
        };
        SetofOptions: {
          from: '*';
          to: 'book_status';
          isOneToOne: true;
          isSetofReturn: true;
        };
      };
      list_books: {
        Args: { max_books?: number };
        Returns: {
          attempt: number;
          book_id: string;
          completed_at: string | null;
          created_at: string;
          current_stage: string;
          error: Json | null;
          estimated_completion_at: string | null;
          heartbeat_at: string;
          message: string | null;
          metadata: NonNullable<Json>;
          overall_progress: number;
          owner_id: string | null;
          pipeline: string;
          pipeline_version: number;
          resume_at: string | null;
          revision: number;
          stage_base: number;
          stage_entered_at: string;
          stage_progress: number;
          stage_share: number;
          stage_started_at: string;
          status: string;
          substeps_done: number;
          substeps_points: number;
          substeps_total: number;
          substeps_weight: number;
          title: string | null;
          updated_at: string;
        }[];
        SetofOptions: {
          from: '*';
          to: 'book_status';
          isOneToOne: false;
          isSetofReturn: true;
        };
      };
      list_relays: {
        Args: Record<PropertyKey, never>;
        Returns: {
          expires_at: string;
          holder: string;
          streams: string[];
        }[];
      };
      list_substeps: {
        Args: { after?: string; book_id: string; max_substeps?: number; stage?: string };
        Returns: {
          attempt: number;
          checkpoint: Json;
          done: number;
          label: string;
          message: string;
          progress: number;
          revision: number;
          started_at: string;
          state: string;
          substep: string;
          total: number;
          unit: string;
          updated_at: string;
          weight: number;
        }[];
      };
      make_realtime_policy: { Args: Record<PropertyKey, never>; Returns: Record<string, unknown> };
      note_stream: {
        Args: { entries?: number; epoch: number; loss?: string; lost?: number; position?: string; stream: string };
        Returns: undefined;
      };
      note_waiting: {
        Args: { attempts: number[]; book_ids: string[]; epoch: number; first_id: string; last_id: string; stage: string; stream: string };
        Returns: number;
      };
      outbox_backlog: { Args: { max_messages?: number }; Returns: Record<string, unknown> };
      pipeline_xstate: { Args: { name: string; version?: number }; Returns: Json };
      plan_substeps: {
        Args: { book_id: string; expected_revision?: number; stage: string; substeps: Json };
        Returns: {
          attempt: number;
          book_id: string;
          completed_at: string | null;
          created_at: string;
          current_stage: string;
          error: Json | null;
          estimated_completion_at: string | null;
          heartbeat_at: string;
          message: string | null;
          metadata: NonNullable<Json>;
          overall_progress: number;
          owner_id: string | null;
          pipeline: string;
          pipeline_version: number;
          resume_at: string | null;
          revision: number;
          stage_base: number;
          stage_entered_at: string;
          stage_progress: number;
          stage_share: number;
          stage_started_at: string;
          status: string;
          substeps_done: number;
          substeps_points: number;
          substeps_total: number;
          substeps_weight: number;
          title: string | null;
          updated_at: string;
        };
        SetofOptions: {
          from: '*';
          to: 'book_status';
          isOneToOne: true;
          isSetofReturn: true;
        };
      };
      prune_dead_letters: { Args: { batch?: number; before: string }; Returns: number };
      prune_events: { Args: { batch?: number; before: string }; Returns: number };
      prune_outbox: { Args: { batch?: number; before: string }; Returns: number };
      register_book: {
        Args: { book_id: string; metadata?: Json; owner_id?: string; pipeline?: string; title?: string };
        Returns: {
          attempt: number;
          book_id: string;
          completed_at: string | null;
          created_at: string;
          current_stage: string;
          error: Json | null;
          estimated_completion_at: string | null;
          heartbeat_at: string;
          message: string | null;
          metadata: NonNullable<Json>;
          overall_progress: number;
          owner_id: string | null;
          pipeline: string;
          pipeline_version: number;
          resume_at: string | null;
          revision: number;
          stage_base: number;
          stage_entered_at: string;
          stage_progress: number;
          stage_share: number;
          stage_started_at: string;
          status: string;
          substeps_done: number;
          substeps_points: number;
          substeps_total: number;
          substeps_weight: number;
          title: string | null;
          updated_at: string;
        };
        SetofOptions: {
          from: '*';
          to: 'book_status';
          isOneToOne: true;
          isSetofReturn: true;
        };
      };
      release_stream: { Args: { epoch: number; stream: string }; Returns: undefined };
      renew_stream: { Args: { caught_up_at?: string; epoch: number; stream: string }; Returns: string };
      replay_dead_letters: {
        Args: { book_id?: string; ids?: number[]; max_letters?: number; reason?: string; stream?: string };
        Returns: {
          applied: number;
          rejected: number;
          stale: number;
        }[];
      };
      report_events: { Args: { events: Json; idempotency_key?: string }; Returns: Json };
      report_progress: {
        Args: {
          attempt?: number;
          book_id: string;
          checkpoint?: Json;
          done?: number;
          message?: string;
          progress?: number;
          stage?: string;
          substep?: string;
          total?: number;
          unit?: string;
        };
        Returns: {
          attempt: number;
          book_id: string;
          completed_at: string | null;
          created_at: string;
          current_stage: string;
          error: Json | null;
          estimated_completion_at: string | null;
          heartbeat_at: string;
          message: string | null;
          metadata: NonNullable<Json>;
          overall_progress: number;
          owner_id: string | null;
          pipeline: string;
          pipeline_version: number;
          resume_at: string | null;
          revision: number;
          stage_base: number;
          stage_entered_at: string;
          stage_progress: number;
          stage_share: number;
          stage_started_at: string;
          status: string;
          substeps_done: number;
          substeps_points: number;
          substeps_total: number;
          substeps_weight: number;
          title: string | null;
          updated_at: string;
        };
        SetofOptions: {
          from: '*';
          to: 'book_status';
          isOneToOne: true;
          isSetofReturn: true;
        };
      };
      resume_book: {
        Args: { book_id: string; expected_revision?: number };
        Returns: {
          attempt: number;
          book_id: string;
          completed_at: string | null;
          created_at: string;
          current_stage: string;
          error: Json | null;
          estimated_completion_at: string | null;
          heartbeat_at: string;
          message: string | null;
          metadata: NonNullable<Json>;
          overall_progress: number;
          owner_id: string | null;
          pipeline: string;
          pipeline_version: number;
          resume_at: string | null;
          revision: number;
          stage_base: number;
          stage_entered_at: string;
          stage_progress: number;
          stage_share: number;
          stage_started_at: string;
          status: string;
          substeps_done: number;
          substeps_points: number;
          substeps_total: number;
          substeps_weight: number;
          title: string | null;
          updated_at: string;
        };
        SetofOptions: {
          from: '*';
          to: 'book_status';
          isOneToOne: true;
          isSetofReturn: true;
        };
      };
      resume_books: {
        Args: { book_ids: string[]; dry_run?: boolean };
        Returns: {
          book_id: string;
          code: string;
          outcome: string;
          reason: string;
        }[];
      };
      rewind_book: {
        Args: { book_id: string; expected_revision?: number; message?: string; to_stage: string };
        Returns: {
          attempt: number;
          book_id: string;
          completed_at: string | null;
          created_at: string;
          current_stage: string;
          error: Json | null;
          estimated_completion_at: string | null;
          heartbeat_at: string;
          message: string | null;
          metadata: NonNullable<Json>;
          overall_progress: number;
          owner_id: string | null;
          pipeline: string;
          pipeline_version: number;
          resume_at: string | null;
          revision: number;
          stage_base: number;
          stage_entered_at: string;
          stage_progress: number;
          stage_share: number;
          stage_started_at: string;
          status: string;
          substeps_done: number;
          substeps_points: number;
          substeps_total: number;
          substeps_weight: number;
          title: string | null;
          updated_at: string;
        };
        SetofOptions: {
          from: '*';
          to: 'book_status';
          isOneToOne: true;
          isSetofReturn: true;
        };
      };
      schema_version: { Args: Record<PropertyKey, never>; Returns: number };
      send_held_broadcasts: { Args: Record<PropertyKey, never>; Returns: Record<string, unknown> };
      stage_durations: {
        Args: Record<PropertyKey, never>;
        Returns: {
          median_seconds: number;
          p95_seconds: number;
          pipeline: string;
          pipeline_version: number;
          samples: number;
          stage: string;
        }[];
      };
      status_at: { Args: { at: string; book_id: string }; Returns: Json };
      sweep: { Args: { now?: string }; Returns: Json };
      take_outbox: {
        Args: { max_rows?: number };
        Returns: {
          book_id: string;
          created_at: string;
          id: number;
          kind: string;
          message_id: string;
          payload: NonNullable<Json>;
          revision: number;
        }[];
        SetofOptions: {
          from: '*';
          to: 'outbox';
          isOneToOne: false;
          isSetofReturn: true;
        };
      };
      transition_book: {
        Args: { attempt?: number; book_id: string; expected_revision?: number; message?: string; to_status: string };
        Returns: {
          attempt: number;
          book_id: string;
          completed_at: string | null;
          created_at: string;
          current_stage: string;
          error: Json | null;
          estimated_completion_at: string | null;
          heartbeat_at: string;
          message: string | null;
          metadata: NonNullable<Json>;
          overall_progress: number;
          owner_id: string | null;
          pipeline: string;
          pipeline_version: number;
          resume_at: string | null;
          revision: number;
          stage_base: number;
          stage_entered_at: string;
          stage_progress: number;
          stage_share: number;
          stage_started_at: string;
          status: string;
          substeps_done: number;
          substeps_points: number;
          substeps_total: number;
          substeps_weight: number;
          title: string | null;
          updated_at: string;
        };
        SetofOptions: {
          from: '*';
          to: 'book_status';
          isOneToOne: true;
          isSetofReturn: true;
        };
      };
    };
    Enums: {
      [_ in never]: never;
    };
    CompositeTypes: {
      [_ in never]: never;
    };
  };
};

type DatabaseWithoutInternals = Omit<Database, '__InternalSupabase'>;

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, 'bindery'>];

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    | keyof (DefaultSchema['Tables'] & DefaultSchema['Views'])
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables'] &
        DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Views'])
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables'] &
      DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Views'])[TableName] extends {
      Row: infer R;
    }
    ? R
    : never
  : DefaultSchemaTableNameOrOptions extends keyof (DefaultSchema['Tables'] & DefaultSchema['Views'])
    ? (DefaultSchema['Tables'] & DefaultSchema['Views'])[DefaultSchemaTableNameOrOptions] extends {
        Row: infer R;
      }
      ? R
      : never
    : never;

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends keyof DefaultSchema['Tables'] | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables']
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables'][TableName] extends {
      Insert: infer I;
    }
    ? I
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema['Tables']
    ? DefaultSchema['Tables'][DefaultSchemaTableNameOrOptions] extends {
        Insert: infer I;
      }
      ? I
      : never
    : never;

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends keyof DefaultSchema['Tables'] | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables']
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables'][TableName] extends {
      Update: infer U;
    }
    ? U
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema['Tables']
    ? DefaultSchema['Tables'][DefaultSchemaTableNameOrOptions] extends {
        Update: infer U;
      }
      ? U
      : never
    : never;

export type Enums<
  DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema['Enums'] | { schema: keyof DatabaseWithoutInternals },
  EnumName extends DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions['schema']]['Enums']
    : never = never,
> = DefaultSchemaEnumNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions['schema']]['Enums'][EnumName]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema['Enums']
    ? DefaultSchema['Enums'][DefaultSchemaEnumNameOrOptions]
    : never;

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends keyof DefaultSchema['CompositeTypes'] | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions['schema']]['CompositeTypes']
    : never = never,
> = PublicCompositeTypeNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions['schema']]['CompositeTypes'][CompositeTypeName]
  : PublicCompositeTypeNameOrOptions extends keyof DefaultSchema['CompositeTypes']
    ? DefaultSchema['CompositeTypes'][PublicCompositeTypeNameOrOptions]
    : never;

export const Constants = {
  bindery: {
    Enums: {},
  },
} as const;
